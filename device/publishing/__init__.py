"""Answers for others: a program that is run for each, and an MQTT broker."""
