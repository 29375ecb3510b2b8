//! Who may not be written to: the block list, opt-outs, the page that unsubscribes, replies.

mod gate;
