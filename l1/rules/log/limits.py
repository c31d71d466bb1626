"""How much of two logs the fold keeps decoded."""

CACHED_GRANTS_MAX = 131_072  # what grants allow, in memory: about 30 MiB a log when full
CACHED_ROWS_MAX = 16_384  # decoded consents and requests in memory: about 10 MiB a log when full
