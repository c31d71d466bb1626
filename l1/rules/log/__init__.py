"""What stands in a log, as both hospitals and the chain read it: one alphabet, one fold.

    entries        the kinds of entries          leaves         their parts and leaf hashes
    marks          what the fold keeps           standing       what stands, and taking it back
    judgements     one rule per kind             fold           the order in which they are applied

Others import from these modules by name.
"""
