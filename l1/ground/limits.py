"""Every limit that both floors share: a name, a unit and a reason, in one place."""

VERSION = 1  # of everything signed; a new meaning gets a new number

HASH_BYTES = 32  # SHA-256
HANDLE_BYTES = 16  # keyed hashes of patients and practitioners: 128 bits, pairwise, never guessable without the key
PUBLIC_KEY_BYTES = 33  # secp256k1, compressed
SIGNATURE_BYTES = 64  # ECDSA r ‖ s, low-S
ACCOUNT_BYTES = 20  # as Ethereum does: short enough to read aloud, long enough against collisions between honest keys

CREDITS_MAX = 2**53 - 1  # also exact in every JSON reader
SIZE_MAX = 2**48  # entries in a log: 35 years at 250,000 a second
TIME_MS_MAX = 2**48  # the year 10889
PERIOD_MS_MAX = 2**42  # 139 years: windows end before TIME_MS_MAX
BLOCK_TIME_MS_MAX = 2**47  # the year 6429; windows that begin in a block end before TIME_MS_MAX
HEIGHT_MAX = 2**48

CLOCK_SKEW_MS_MAX = 5 * 60_000  # hospital clocks drift; more than this and "now" means nothing
HEADER_AHEAD_MS_MAX = 60_000  # a reader refuses headers further ahead of its own clock

REGISTRARS_MAX = 64  # of a chain: a consortium, not a crowd
FEES_LENT = 1_100  # of a KiB each, to a key in a key window: a thousand short transactions, or one of the greatest
TRANSACTION_BYTES_MAX = 1024 * 1024  # a checkpoint of 1,000 channels with four signed commitments each fits
BLOCK_BYTES_MAX = 4 * 1024 * 1024
BLOCK_TRANSACTIONS_MAX = 5_000
CHECKPOINTS_PER_TRANSACTION_MAX = 1_000  # a hub settles all its channels at once; 2,000 signatures are 0.1 s
TOWERS_PER_HOSPITAL_MAX = 8  # one that answers is enough; each costs bytes in a row that all of them share
TOWER_REWARD_MAX = 500  # per mille of the bond: whoever was cheated keeps at least half
KEYS_PER_HOSPITAL_MAX = 1_024  # a new channel key every week for fifteen years, and a registry row under 120 kB
DEMANDS_WAITING_MAX = 16  # of one side in a channel: each stands in its row; one unanswered forfeits the bond
PROOF_HASHES_MAX = 64  # RFC 9162 proof of a log of 2^48 entries needs at most 49 + 48
SPARSE_PROOF_HASHES_MAX = 256

BATCH_ENTRIES_MAX = 4_096
FRAME_BYTES_MAX = 1024 * 1024  # 4,096 entries of 200 bytes; a larger frame is an attack or a bug
EVIDENCE_BYTES_MAX = 16 * 1024

PART_BYTES_MAX = 1024  # public or private part of an entry: a kind has a few fixed fields
SALT_BYTES = 16  # 128 bits against guessing a private part from its digest
OPEN_REQUESTS_MAX = 4_096  # unanswered requests of one side; more would let a flood hide the rest
REQUEST_LIFE_MS = 72 * 3_600_000  # an unanswered request means nothing after three days
