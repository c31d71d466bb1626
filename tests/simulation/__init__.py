"""One seed, one world: hospitals, a chain, lines, disks, clocks, operators and Mallory, in one thread and one heap."""
