//! Exact decimal numbers from text to text: wide integers with a scale, rounded half-even once.
