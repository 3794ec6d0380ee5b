"""
Reports by mail: what yesterday and last week were like, kept byte for byte and made again as of any moment.

Comes in: figures of the metric compiler as of a moment. Goes out: stored pages and mails of them.
"""
