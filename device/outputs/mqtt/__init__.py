"""Predictions for an MQTT broker and Home Assistant."""
