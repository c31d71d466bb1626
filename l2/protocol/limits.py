"""Limits of a channel: a name, a unit and a reason each. What both floors share is in `l1.ground.limits`."""

SALT_BLOCK = 256  # entries whose salts come from one XOF call; also the width of a stored tile
TILE_LEVELS = (8, 16, 24, 32, 40)  # complete subtrees kept on disk: a proof reads at most 256 hashes per level
MARKS_CHUNK = 1024  # marks per stored row: small against a batch, large against a key

BATCH_ENTRIES_AIM = 1_000  # one signature and one sync for so many entries costs each of them next to nothing
BATCH_BYTES_MAX = 512 * 1024
WINDOW_BATCHES = 64  # batches under way without acknowledgement: small ones too keep both hospitals at work at once
HANDED_MAX = 500  # commitments in one handover to a watchtower
HANDOVER_BYTES_MAX = 256 * 1024  # 500 of them are 170 kB
HELD_BATCHES_MAX = 192  # batches from the future kept until their time comes: a window and its answers
QUEUED_ENTRIES_MAX = 200_000  # appended but not yet cut; beyond it the caller waits
STEP_ENTRIES_AIM = 2_000  # cut, before what was cut is on its way to the disk
STEP_BATCHES_AIM = 10  # and no more than so many batches: else the peer waits for a whole window, and then we for it
BATCHES_KEPT = 64  # stored batches kept as they are, to find entries in: about 4 MiB a log
WHOLE_BATCHES_KEPT = 4  # and as decoded entries, for whoever reads a log in order
JOURNAL_NOTES_MAX = 1_024  # of a channel; more than years of quiet, and little to read in bad times
ALIVE_MS = 15_000  # of the chain clock, between two notes of how old the rows are: a flush now and then
STALE_MS = 120_000  # rows older than this are treated as a copy's: a crash and a start take less
