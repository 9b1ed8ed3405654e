"""What tests of several services share: real servers on free loopback ports."""
