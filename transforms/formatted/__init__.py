"""
Received texts into typed values, on whole frames: a frame goes in, (rows, rejects) come out; no database here.

Comes in: the frame of a chunk (transforms/documents.py) and its contract. Goes out: typed rows, one reject per bad row.
"""
