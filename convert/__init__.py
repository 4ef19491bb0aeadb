"""From the trained `Model.h5` to the bundle `Model.tflite`, proven before it leaves the laptop."""
