"""Measures how good a trained model is: its predictions on labelled clips, their scores, tables, plots and reports."""
