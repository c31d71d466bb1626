"""Floor 1½: what both kinds of node have in common: HTTP on trio, bounded reading of requests, the habits of a process.

    addresses      host:port and URLs           files          one file or folder, and a remedy
    listening      a socket, hypercorn on it    folders        a node's folder: config, secrets
    requests       what a request carries       process        password, log, lock
    answers        answers in JSON              whole, pages   whether an LMDB file is whole
    openapi        endpoints and their page     schema         layouts of a store, migrations
    figures        what Prometheus scrapes      journal, journal_file   records before rows

It knows neither chain nor hospital. Others import from these modules by name: who reads a file loads no HTTP server.
"""
