//! Who the shoppers are; issues their tokens.
