//! Who may come in, what they may do, and what becomes of those who may not.

mod rights;
