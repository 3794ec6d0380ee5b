"""
The frame: settings, errors, command line, scheduler, web pages, local servers, simulated sources.

Comes in: the environment and the command typed. Goes out: calls into db, transforms, metabase, backups.
"""
