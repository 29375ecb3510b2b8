//! What an operator asks and does: why something does not move, replays, the live status, checks.

mod channels;
mod check;
mod replay;
mod screen;
mod why;
