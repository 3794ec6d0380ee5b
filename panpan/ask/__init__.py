"""
Questions in plain words over the metric catalogue: a closed grammar, no model.

words and dates read tokens, lexicon holds what may be said, grammar turns a question into readings, phrasing says a
reading as a question again, answering works the figure out. Only answering and known touch the database.
"""
