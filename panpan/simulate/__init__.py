"""
PanPan's simulated source systems, so that the whole platform can be tried without any account.

Comes in: a seed, a last day, and the faults to play. Goes out: POS item exports in a folder, and over HTTP
a POS orders API, a CRM and an inventory system. Every day's data depends on the seed and the date alone
(stock also on the days before it), so a longer history never rewrites a shorter one.
"""
