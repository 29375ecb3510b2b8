//! Every Lua script, compiled in. One file, one command; the wrappers stand in the module that
//! owns the keys.

use std::sync::LazyLock;

use super::script::Script;

/// A script over one key that is not a campaign's.
macro_rules! plain {
    ($name:ident, $flags:literal, $file:literal) => {
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new($flags, &[include_str!(concat!("lua/", $file, ".lua"))]));
    };
}

/// A script over the keys of one campaign.
macro_rules! campaign {
    ($name:ident, $flags:literal, $file:literal) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new($flags, &[include_str!("lua/prelude.lua"), include_str!(concat!("lua/", $file, ".lua"))])
        });
    };
}

/// The same, for scripts that write outcomes into the ledger.
macro_rules! ledger {
    ($name:ident, $flags:literal, $file:literal) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                $flags,
                &[
                    include_str!("lua/prelude.lua"),
                    include_str!("lua/states.lua"),
                    include_str!("lua/closing.lua"),
                    include_str!("lua/auto_pause.lua"),
                    include_str!(concat!("lua/", $file, ".lua")),
                ],
            )
        });
    };
}

/// The same, for scripts that know of permanent messages.
macro_rules! recurring {
    ($name:ident, $flags:literal, $file:literal) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                $flags,
                &[
                    include_str!("lua/prelude.lua"),
                    include_str!("lua/recurring.lua"),
                    include_str!(concat!("lua/", $file, ".lua")),
                ],
            )
        });
    };
}

plain!(SETTLE, "allow-oom", "settle");
plain!(RENEW, "allow-oom", "renew");
plain!(ADOPT, "allow-oom", "adopt");
plain!(BEGIN_LEASES_ANEW, "allow-oom", "begin_leases_anew");
plain!(COUNT_DELIVERY, "allow-oom", "count_delivery");
plain!(GIVE_BACK, "allow-oom", "give_back");
plain!(REMOVE_CONSUMER, "allow-oom", "remove_consumer");
plain!(REMOVE_IDLE_CONSUMERS, "allow-oom", "remove_idle_consumers");
plain!(ADD_ENTRIES, "allow-oom", "add_entries");
plain!(QUEUE_LENGTH, "no-writes", "queue_length");
plain!(LOOKED_AFTER, "allow-oom", "looked_after");
plain!(BARRIER, "allow-oom", "barrier");
plain!(SURELY, "allow-oom", "surely");
plain!(CREATE_GROUP, "allow-oom", "create_group");
plain!(ADD_EVENTS, "allow-oom", "add_events");
plain!(ARM, "allow-oom", "arm");
plain!(FIRE_ALARMS, "allow-oom", "fire_alarms");
plain!(DISARM, "allow-oom", "disarm");
plain!(ACCEPT_JOB, "allow-oom", "accept_job");
plain!(WAKE_JOB, "allow-oom", "wake_job");
plain!(WRITE_JOB, "allow-oom", "write_job");
plain!(REFUSE_JOB, "allow-oom", "refuse_job");
plain!(RESERVE, "allow-oom", "reserve");
plain!(RESERVE_CONTACT, "", "reserve_contact");
plain!(REPORT, "allow-oom", "report");
plain!(REPLACE_ENTRY, "allow-oom", "replace_entry");
plain!(REPLACE_FIELDS, "allow-oom", "replace_fields");
plain!(REPLACE_ROW, "allow-oom", "replace_row");
plain!(SAVE_FORGET, "allow-oom", "save_forget");
plain!(NUMBER_CIRCLE, "allow-oom", "number_circle");
plain!(NOTE_FORGOTTEN, "allow-oom", "note_forgotten");

// Taking on new work is refused over maxmemory; recording what happened never is.
campaign!(CREATE_CAMPAIGN, "", "create_campaign");
campaign!(ENTER_IMPORT, "", "enter_import");
campaign!(FIND_CASES, "no-writes", "find_cases");
campaign!(WRITE_CASES, "", "write_cases");
campaign!(BEGIN_BATCH, "", "begin_batch");
campaign!(NUMBER_ROWS, "", "number_rows");
campaign!(WRITE_ORDERS, "", "write_orders");
campaign!(CREATE_RUN, "", "create_run");
campaign!(CLAIM, "", "claim");
campaign!(SIFT, "", "sift");
campaign!(ADD_WARNINGS, "allow-oom", "add_warnings");
campaign!(END_BATCH, "allow-oom", "end_batch");
campaign!(CLOSE_CAMPAIGN, "allow-oom", "close_campaign");
campaign!(ARM_SLOTS, "allow-oom", "arm_slots");
campaign!(TAKE_SLOT, "allow-oom", "take_slot");
ledger!(LAND, "allow-oom", "land");
ledger!(REASSERT, "allow-oom", "reassert");
ledger!(RECORD, "allow-oom", "record");
ledger!(RECEIVE, "allow-oom", "receive");
campaign!(LEAVE_SLOT, "allow-oom", "leave_slot");
campaign!(HOLD_RUN, "allow-oom", "hold_run");
campaign!(RENEW_SLOT, "allow-oom", "renew_slot");
recurring!(ACT, "allow-oom", "act");
recurring!(DEFINE, "", "define");
recurring!(TICK, "", "tick");
recurring!(TICK_QUEUED, "", "tick_queued");
recurring!(TICK_LOST, "", "tick_lost");
recurring!(DROP_DECIDED, "allow-oom", "drop_decided");
recurring!(RUN_NOW, "", "run_now");
recurring!(ACT_DEFINITION, "allow-oom", "act_definition");
campaign!(REQUEUE, "allow-oom", "requeue");
campaign!(CHANGE_ORDERS, "allow-oom", "change_orders");
campaign!(ATTACH_REPLY, "allow-oom", "attach_reply");
campaign!(FORGET_CASE, "allow-oom", "forget_case");
campaign!(CHANGE_CASES, "allow-oom", "change_cases");
campaign!(CLAIM_ORDERS, "", "claim_orders");
campaign!(SETTLE_ORDERS, "allow-oom", "settle_orders");
campaign!(FORGET_ORDER, "allow-oom", "forget_order");
campaign!(SET_CAMPAIGN_STATE, "allow-oom", "set_campaign_state");
