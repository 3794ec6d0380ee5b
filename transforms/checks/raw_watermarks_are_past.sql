-- One row per watermark that lies more than a day ahead. Reads ops.watermarks.
select
    source || ' ' || entity as key,
    format('the next pull would start at %%s', watermark) as found
from ops.watermarks
where watermark > %(now)s + interval '1 day'
