//! The closed sets of codes that leave the process: why a job, a row, or a job's end; what it warns of; why something does
//! not move.
//!
//! A code is stable for ever: programs branch on it. Its one line of documentation stands here and nowhere else; the
//! tables of `jobs/README.md` are generated from it, and a test says that they are fresh.

/// Declares an enum of documented codes: each variant has exactly one line of documentation.
macro_rules! codes {
    ($(#[$meta:meta])* pub enum $name:ident { $(#[doc = $doc:literal] $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $(#[doc = $doc] $variant,)+ }

        impl $name {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The code of that text, if it is one.
            pub fn parse(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// What it means, one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc.trim_ascii(),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

codes! {
    /// Why a job was refused as a whole; nothing of it was done.
    pub enum RejectionCode {
        /// The entry's field `job` is missing or empty.
        NoJob = "no_job",
        /// The text is not JSON.
        NotJson = "not_json",
        /// The text is JSON, but not an object.
        NotAnObject = "not_an_object",
        /// The job is bigger than 1 MiB; its first 4 KiB and its digest are kept.
        JobTooBig = "job_too_big",
        /// A field stands twice in one object.
        DuplicateField = "duplicate_field",
        /// A field that this queue does not know; the nearest known one is named.
        UnknownField = "unknown_field",
        /// A field has another JSON type than it must have.
        WrongType = "wrong_type",
        /// A required field is absent or null.
        MissingField = "missing_field",
        /// A value of the right type breaks the field's rule, and no other code says it closer.
        InvalidValue = "invalid_value",
        /// `v` is not a version of the contract that this daemon reads.
        UnsupportedVersion = "unsupported_version",
        /// A job id is not of the form `[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}`.
        InvalidId = "invalid_id",
        /// A producer's id has the form `<queue>:<ms>-<n>`, which belongs to jobs without an id.
        IdReserved = "id_reserved",
        /// An accepted job holds this id with another payload or in another queue.
        IdConflict = "id_conflict",
        /// The job's `not_after` has passed.
        Expired = "expired",
        /// The name of a campaign, run, channel or payment point is not of the form a name has.
        InvalidName = "invalid_name",
        /// A time is neither RFC 3339 with an offset nor epoch milliseconds.
        InvalidTime = "invalid_time",
        /// A duration is not a whole number with a unit, such as `10m` or `48h`.
        InvalidDuration = "invalid_duration",
        /// Two times exclude each other: `at` and `delivery.at`, or `at` after `not_after`.
        ConflictingTimes = "conflicting_times",
        /// Two fields exclude each other, or a field does not go with the action.
        ConflictingFields = "conflicting_fields",
        /// No daemon seen in the last 10 minutes serves this channel.
        UnknownChannel = "unknown_channel",
        /// The payment point is not configured.
        UnknownPaymentPoint = "unknown_payment_point",
        /// Not an ISO 4217 currency with a minor unit.
        UnknownCurrency = "unknown_currency",
        /// A currency that `orders.currencies` does not allow.
        CurrencyNotAllowed = "currency_not_allowed",
        /// Not an ISO 3166 country with a telephone plan.
        UnknownCountry = "unknown_country",
        /// The category `commercial` needs a public address for its unsubscribe links: `unsubscribe.url` or `http.public_url`.
        CategoryUnavailable = "category_unavailable",
        /// Not 6 to 16 letters and digits.
        InvalidShortCode = "invalid_short_code",
        /// The URL stands in the middle of the message; it belongs at its start or end.
        UrlInMiddle = "url_in_middle",
        /// The message holds the URL twice.
        UrlTwice = "url_twice",
        /// The message holds the URL at one end and `message.url` says the other.
        UrlConflict = "url_conflict",
        /// The message's template does not compile.
        TemplateSyntax = "template_syntax",
        /// The message's template takes more steps or bytes than a message may.
        TemplateOverBudget = "template_over_budget",
        /// The message is longer than `messages.max_parts` SMS parts, its link included.
        TextTooLong = "text_too_long",
        /// The orders would expire less than 10 minutes after they are generated.
        ExpiryTooShort = "expiry_too_short",
        /// The orders would expire more than 15 days after they are generated.
        ExpiryTooLong = "expiry_too_long",
        /// `delivery: now` needs at least one row with a valid `SMScontact`.
        NoValidContact = "no_valid_contact",
        /// `delivery: at` needs a valid `SMScontact` in every row, unless `allow_partial`; the rows without one are named.
        InvalidContacts = "invalid_contacts",
        /// A filter names a column that a case has not; the nearest one is named.
        UnknownColumn = "unknown_column",
        /// A filter names an operator that there is not; the nearest one is named.
        UnknownOperator = "unknown_operator",
        /// An operator or a value does not go with its column, or the filter has too many conditions.
        InvalidFilter = "invalid_filter",
        /// Contact hours that cannot be kept: a block, a weekday, a date or a preset is wrong; the field is named.
        InvalidHours = "invalid_hours",
        /// A frequency cap that cannot be kept: its messages or its period are wrong; the field is named.
        InvalidCap = "invalid_cap",
        /// Both `rows` and `rows_from` are given.
        RowsAndRowsFrom = "rows_and_rows_from",
        /// More than 1,000 inline rows, or more rows in a file than `sources.max_rows`.
        TooManyRows = "too_many_rows",
        /// The file's path is absolute, has `..`, or leads out of the spool folder.
        PathOutsideSpool = "path_outside_spool",
        /// There is no such file in the spool folder of any daemon that was asked.
        SourceMissing = "source_missing",
        /// The source has no rows.
        SourceEmpty = "source_empty",
        /// The header lacks the column `amount`.
        MissingColumn = "missing_column",
        /// Two columns of the header come to the same name; the known columns have aliases.
        DuplicateColumn = "duplicate_column",
        /// More bytes than `sources.max_bytes`, what gzip unpacks to included.
        SourceTooBig = "source_too_big",
        /// The header is longer than `sources.max_line_bytes`.
        LineTooLong = "line_too_long",
        /// Not a kind of source that is read: a spreadsheet, a web page, binary, damaged gzip, a folder, or an unknown extension.
        SourceUnsupported = "source_unsupported",
        /// The header is not UTF-8, and other lines of the file are.
        SourceNotUtf8 = "source_not_utf8",
        /// The operating system refuses to read the file.
        SourceUnreadable = "source_unreadable",
        /// The source is no longer what it was when the job began.
        SourceChanged = "source_changed",
        /// The address is none that `sources.url_*` allows: its scheme, host, or where it leads.
        UrlNotAllowed = "url_not_allowed",
        /// The server refuses us the source (404, 403 and the like).
        UrlRefused = "url_refused",
        /// Not a time zone of the IANA database.
        UnknownTimezone = "unknown_timezone",
        /// Not a crontab line of five fields; the field is named.
        InvalidCrontab = "invalid_crontab",
        /// No date of the calendar matches the crontab line, such as 30 February.
        CrontabNeverFires = "crontab_never_fires",
        /// A permanent message would come more often than every `recurring.min_interval`.
        IntervalTooShort = "interval_too_short",
        /// `action` is not an action of the control queue; the nearest one is named.
        UnknownAction = "unknown_action",
        /// There is no campaign of this name.
        UnknownCampaign = "unknown_campaign",
        /// There is no template of this name.
        UnknownTemplate = "unknown_template",
        /// The campaign has a message of this name already.
        MessageExists = "message_exists",
        /// The campaign has no run of this name.
        UnknownRun = "unknown_run",
        /// The campaign has no permanent message of this name.
        UnknownRecurring = "unknown_recurring",
        /// There is no such order.
        UnknownOrder = "unknown_order",
        /// There is no such case.
        UnknownCase = "unknown_case",
        /// The reference of a receipt is not one that this installation signed, or what it names is gone.
        UnknownReference = "unknown_reference",
        /// The present state does not allow this; the state and what it allows are named.
        WrongState = "wrong_state",
        /// A refund is not from 1 to what is left of the payment, or `refunded` leaves something of it.
        InvalidRefund = "invalid_refund",
        /// The payment platform does not take the order for this payment point; its code is named.
        ProviderRefused = "provider_refused",
        /// The campaign has its generate job already; `append` adds rows to it.
        CampaignExists = "campaign_exists",
        /// An appended job differs from its campaign in a field that all orders share.
        CampaignMismatch = "campaign_mismatch",
    }
}

codes! {
    /// Why one row was refused; the others go on. A phone that is not valid is **not** among these: the order is
    /// generated and its delivery is `skipped: no_valid_contact`.
    pub enum RowCode {
        /// The row has no amount, or an empty one.
        MissingAmount = "missing_amount",
        /// The amount is not a whole number of minor units; `12.50` is never guessed to be 1250.
        AmountNotAnInteger = "amount_not_an_integer",
        /// The amount is not from 1 to `orders.max_amount`.
        AmountOutOfRange = "amount_out_of_range",
        /// Neither the row nor the job says the currency.
        CurrencyMissing = "currency_missing",
        /// Not an ISO 4217 currency with a minor unit.
        UnknownCurrency = "unknown_currency",
        /// A currency that `orders.currencies` does not allow.
        CurrencyNotAllowed = "currency_not_allowed",
        /// Not an ISO 3166 country with a telephone plan.
        UnknownCountry = "unknown_country",
        /// The concept has more than 100 characters.
        ConceptTooLong = "concept_too_long",
        /// The reference has more than 150 characters.
        ReferenceTooLong = "reference_too_long",
        /// The key, or the id of a case, has more than 150 characters.
        KeyTooLong = "key_too_long",
        /// The key, or the id of a case, is empty or holds control characters.
        InvalidKey = "invalid_key",
        /// An earlier row of this job has the same key.
        DuplicateKey = "duplicate_key",
        /// A known column holds a list, an object or a truth value.
        WrongType = "wrong_type",
        /// The variables of this row take more than 8 KiB.
        VariablesTooBig = "variables_too_big",
        /// The order would expire less than 10 minutes after it is generated.
        ExpiresTooSoon = "expires_too_soon",
        /// The line is longer than `sources.max_line_bytes`.
        LineTooLong = "line_too_long",
        /// The line is not UTF-8 text, and other lines of the source are.
        NotUtf8 = "not_utf8",
        /// The line has fewer fields than the header, or more that are not empty.
        FieldCount = "field_count",
        /// A quoted field does not close, or text stands behind its closing quote.
        BadQuoting = "bad_quoting",
        /// The line is not JSON.
        NotJson = "not_json",
        /// The line is JSON, but not an object.
        NotAnObject = "not_an_object",
        /// Two columns of the row come to the same name; the known columns have aliases.
        DuplicateColumn = "duplicate_column",
        /// The line is the header once more.
        RepeatedHeader = "repeated_header",
        /// The person of the row was forgotten (`forget`), while its job waited or, of a case, before.
        Forgotten = "forgotten",
        /// The payment platform does not take this order; its code is named. The order stands as `cancelled`.
        ProviderRefused = "provider_refused",
        /// The row of a case has no id.
        MissingId = "missing_id",
        /// Not a state of a case.
        UnknownState = "unknown_state",
        /// Not a kind of contact.
        UnknownContactKind = "unknown_contact_kind",
        /// The case would have more than 50 contacts, those that are gone included.
        TooManyContacts = "too_many_contacts",
        /// A time is neither RFC 3339 with an offset nor epoch milliseconds.
        InvalidTime = "invalid_time",
        /// A date is not of the form `1990-02-28`.
        InvalidDate = "invalid_date",
        /// The campaign has no such order, by `order` or `order_key`.
        UnknownOrder = "unknown_order",
        /// A phone number is not valid; the case was imported without it.
        InvalidPhone = "invalid_phone",
        /// A phone number that a spreadsheet destroyed, such as `3.46E+10`; the case was imported without it.
        SpreadsheetPhone = "phone_in_scientific_notation",
        /// An e-mail address is not valid, or holds a line break; the case was imported without it.
        InvalidEmail = "invalid_email",
    }
}

codes! {
    /// Why an accepted job ended without being done; it can be replayed.
    pub enum DeadCode {
        /// A job it waited for (`after`) ended dead or was unknown for 24 hours.
        DependencyFailed = "dependency_failed",
        /// Its attempts are used up; the last failure is named.
        AttemptsExhausted = "attempts_exhausted",
        /// It ended its worker `leases.max_deliveries` times.
        Poisoned = "poisoned",
        /// Its handler panicked.
        Panicked = "panicked",
        /// The source is no longer what it was when the job began.
        SourceChanged = "source_changed",
        /// The order provider refuses our credentials.
        ProviderDenied = "provider_denied",
        /// No row of the source could be generated.
        NothingGenerated = "nothing_generated",
        /// No row of the source could be imported.
        NothingImported = "nothing_imported",
    }
}

codes! {
    /// What an accepted job warns of; nothing is held up by it.
    pub enum WarningCode {
        /// Rows have a `reference` that stood in an earlier row of the job.
        DuplicateReference = "duplicate_reference",
        /// Another job had a source with the same bytes within `retention.source_digests`.
        SameSource = "same_source",
        /// The file is not UTF-8; it was read as Windows-1252 (Latin-1).
        Latin1Source = "latin1_source",
        /// Phone numbers that a spreadsheet destroyed, such as `3.46E+10`: the orders exist, nothing is sent to them.
        SpreadsheetPhones = "spreadsheet_phones",
        /// The error file lacks refused rows: it reached `sources.error_file_max_bytes`, or could not be written.
        ErrorFileIncomplete = "error_file_incomplete",
        /// Orders would expire before their message's turn at the channel's rate, or have less than `orders.floor` left.
        WillExpireUnsent = "will_expire_unsent",
        /// Messages may not leave when the job wants them to: they wait for the contact hours, or are not sent.
        OutsideHours = "outside_hours",
        /// Messages take more than one SMS part each; every part is billed.
        SeveralParts = "several_parts",
        /// Rows have the id of an earlier row of the import; the last one counts.
        DuplicateCase = "duplicate_case",
    }
}

codes! {
    /// Why something does not move, or how it does: what `remesa why` says.
    pub enum ReasonCode {
        /// No daemon is running.
        NoDaemon = "no_daemon",
        /// Redis is over 85 % of its `maxmemory`: no `import` and no `generate` is taken until it is below 80 %.
        RedisFull = "redis_full",
        /// The job waits in its queue, unread, behind those that came before.
        JobQueued = "job_queued",
        /// The job is being done.
        JobRunning = "job_running",
        /// The job's time has not come (`at`), or it goes on by itself at a time.
        ScheduledFor = "scheduled_for",
        /// An attempt failed; the next one has its time.
        JobRetries = "job_retries",
        /// The job comes after others (`after`) that are not done yet.
        ParkedBehind = "parked_behind",
        /// The job comes after one that nobody knows; after 24 hours it ends dead.
        ParkedUnknown = "parked_unknown",
        /// The job is done.
        JobDone = "job_done",
        /// The job was refused; nothing of it was done.
        JobRejected = "job_rejected",
        /// The job was accepted and could not be finished.
        JobDead = "job_dead",
        /// Somebody paused the campaign.
        CampaignPaused = "campaign_paused",
        /// The campaign was stopped for good.
        CampaignCancelled = "campaign_cancelled",
        /// The campaign's job could not go on.
        CampaignFailed = "campaign_failed",
        /// Nothing of the campaign was to be sent.
        NothingToSend = "nothing_to_send",
        /// Everything of the campaign has its outcome.
        CampaignDelivered = "campaign_delivered",
        /// Orders are being made.
        Generating = "generating",
        /// Orders wait for their payment platform.
        OrdersCreating = "orders_creating",
        /// Rows were refused.
        RowsRefused = "rows_refused",
        /// Somebody paused the run.
        RunPaused = "run_paused",
        /// The run paused itself: too many of its attempts failed.
        RunPausedItself = "run_paused_itself",
        /// Contact hours are closed.
        ContactHours = "contact_hours",
        /// The run sends.
        Sending = "sending",
        /// Nobody has taken a turn of the run: its turns wait behind those of others.
        TurnsWait = "turns_wait",
        /// A daemon that is gone holds recipients; another takes them over within the lease.
        OwnerGone = "owner_gone",
        /// Recipients wait for their next attempt.
        RetriesWait = "retries_wait",
        /// Recipients wait because their address has had its messages for now.
        CapReached = "cap_reached",
        /// Every recipient of the run has its outcome.
        RunFinished = "run_finished",
        /// The run was stopped for good.
        RunCancelled = "run_cancelled",
        /// The run's message or channel cannot be used.
        RunFailed = "run_failed",
        /// The run's time passed while the contact hours were closed.
        RunNotSent = "run_not_sent",
        /// Messages were refused by the provider, or their attempts are used up.
        SomeFailed = "some_failed",
        /// Of messages nobody knows whether they were sent.
        SomeUnknown = "some_unknown",
        /// Somebody paused the channel.
        ChannelPaused = "channel_paused",
        /// The provider refuses us, so the channel paused itself.
        ChannelDenied = "channel_denied",
        /// The provider asked us to wait.
        ChannelThrottled = "channel_throttled",
        /// The provider failed too often in a row; one message will try it.
        BreakerOpen = "breaker_open",
        /// No daemon that runs serves the channel.
        ChannelUnserved = "channel_unserved",
        /// The channel sends, at its rate.
        ChannelSends = "channel_sends",
        /// The message waits for its turn, behind others of its run.
        RecipientsAhead = "recipients_ahead",
        /// The message is in a daemon's hand.
        BeingSent = "being_sent",
        /// The attempt failed; the next one has its time.
        RetryAt = "retry_at",
        /// The address has had its messages for now.
        HeldUntil = "held_until",
        /// The provider took the message and has not reported on it.
        SentNoReceipt = "sent_no_receipt",
        /// The handset has the message.
        Delivered = "delivered",
        /// The network could not deliver the message.
        Undelivered = "undelivered",
        /// The message was not sent, for this reason.
        Skipped = "skipped",
        /// The provider refused the message, or its attempts are used up.
        Failed = "failed",
        /// Perhaps sent: the answer or the sender was lost.
        Unknown = "unknown",
        /// No run was to send to it.
        NoRun = "no_run",
        /// The order is not confirmed by its payment platform yet.
        OrderCreating = "order_creating",
        /// The order cannot be paid any more: its message would be skipped.
        OrderClosed = "order_closed",
        /// The case is closed.
        CaseClosed = "case_closed",
        /// Somebody paused the permanent message.
        RecurringPaused = "recurring_paused",
        /// The permanent message was stopped, or came to its end.
        RecurringStopped = "recurring_stopped",
        /// The permanent message waits for its next due time.
        DueAt = "due_at",
        /// A due time came while the run before was under way.
        Overlap = "overlap",
        /// Due times passed without a run.
        DueMissed = "due_missed",
    }
}
