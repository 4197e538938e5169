"""Random commands against a virtual lock while everything goes wrong that can; the lock's own record is the judge.

`python -m tests.faults` plays seeds by the thousand, `--seed N` one of them with all that happened in it.  All of it
runs in virtual time, in which ten minutes take some hundredths of a second.  `schedule.py` draws from the seed what
happens, `trouble.py` has it happen on the `stage.py` of one virtual lock, `alone.py` has one `Lock` live through it,
`house.py` the whole bridge with owner, guests and the `broker.py` between them; `record.py` reads the lock's record and
`judge.py` compares.
"""
