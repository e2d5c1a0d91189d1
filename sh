
Cold read of 1 GiB, five turns each, both binaries alternating beside other
builds: the daemon took 0.85 s of processor per GiB before (0.75 at best),
0.75 after (0.67).
