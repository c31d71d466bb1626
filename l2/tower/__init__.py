"""Floor 5: a watchtower's process. It answers on the chain for hospitals that are offline, with what they handed to it.

It holds no hospital's keys and no content of records: only the newest commitment of each watched channel's peer.
"""
