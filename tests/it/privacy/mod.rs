//! What is kept of people: forgetting them, and that their numbers stay where they belong (DA-9).

mod everywhere;
mod forget;
mod secrecy;
