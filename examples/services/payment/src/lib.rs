//! Charges once, however often it is asked.
