"""Floor 4: what a client may ask a hospital, and how it asks. The node serves the same shapes.

    desk      the API as an object: the client's side    problem       how a refusal travels, both sides
    appending the same for a stream of appends
    words, record_words, watch_words, key_words          what is asked and answered, in JSON
    drafts, crowds                                       entries and records in numbers, in msgpack
    entry_words                                          an entry of a log, in words

Others import from these modules by name: the node, which serves these shapes, needs no client.
"""
