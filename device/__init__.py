"""The part that runs on the device: microphone -> utterances -> spectrogram image and words -> prediction -> light.

Importing this package loads nothing else. From Python, start with `device.loading` (load the models, classify a
recording), `device.pipeline` (frames in, predictions out) and `device.bundle` (read a model file).
"""
