"""Floor 1, pure: what the chain accepts, and how it judges.

    transactions   what can be asked            commitment   what the sides of a channel sign
    genesis        how a chain begins           state        what the chain remembers
    blocks         execute, select, headers     apply        one transaction
    accounts       who asks, and who pays       keys         which keys count, and for what
    registry       hospitals and their keys     phases       the table of a channel's phases
    channels       open, deposit, checkpoint    closing      together, alone, challenge, settle
    shown          words, judged alone          towers       who watches for whom, and its reward
    evidence       what proves misconduct       judge        who is guilty of what
    accesses       one access, judged           disputes     what follows: claims, demands, bonds
    touched        which rows a block concerns  invariants   what must hold after every block
    log/           entries, leaves, the fold: what stands in the logs of a channel

Others import from these modules by name.
"""
