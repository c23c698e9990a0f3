"""Azure Blob Storage: what answers at *.blob.core.windows.net.

Emulated are containers, block and append blobs, leases on blobs, copies within the emulated accounts, lists, batches of
deletions, and all three ways to be let in: keys, shared access signatures and tokens. What is not emulated says so by
its name with 501: snapshots, versions, soft deletion, tags, tiers, page blobs, leases on containers, stored access
policies, encryption with keys of one's own, and putting blobs or blocks from a URL.

Known differences: names of metadata come back in lower case; a deleted container's name is free at once; uncommitted
blocks stay until they are committed or replaced; CRC64 sums are neither computed nor checked; a SAS's addresses count
for nothing.
"""
