"""Tests of predictions that are made again from stored weights."""
