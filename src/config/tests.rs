//! The configuration as an operator meets it: defaults, precedence, and a sentence for every mistake.

use std::collections::BTreeMap;
use std::time::Duration;

use super::layers::Layer;
use super::{Config, ConfigError, LogFormat, RedisTarget, SignatureSettings};
use crate::channel::settings::{BodyFormat, ChannelKind, OnUnknown, Security};
use crate::domain::case::ContactKind;
use crate::domain::signature::Digits;

const SANDBOX: &str = "[channels.sms-main]\nkind = \"sandbox\"\n";

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment: BTreeMap<String, String> =
        [("HOME", "/home/ana")].iter().chain(variables).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::from_layers(Some(Layer { origin: "remesa.toml", text: file }), environment, false)
}

fn refusal(file: &str, variables: &[(&str, &str)]) -> String {
    load(file, variables).unwrap_err().to_string()
}

#[test]
fn the_compiled_in_file_is_a_configuration_and_holds_every_key() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.prefix, "remesa");
    assert_eq!(config.orders.expires_in, Duration::from_hours(48));
    assert_eq!(config.leases.claim_deadline, Duration::from_secs(6));
    assert_eq!(config.payment_point("pp-main").unwrap().link_base, "https://pay.example/");
    assert_eq!(config.state_dir.to_str(), Some("/home/ana/.local/state/remesa"));
    assert!(config.sources.spool_dir.ends_with("remesa/spool"));
    assert!(config.channels.is_empty());
    assert!(matches!(config.redis.target, RedisTarget::Embedded { .. }));
}

#[test]
fn a_copy_of_the_compiled_in_file_is_a_valid_configuration() {
    assert_eq!(load(super::layers::COMPILED_IN, &[]).unwrap(), load("", &[]).unwrap());
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = "prefix = \"from-file\"\n[log]\nformat = \"json\"\n";
    let config = load(file, &[("REMESA_PREFIX", "from-env"), ("REMESA_QUEUES__PERMITS_CONTROL", "3")]).unwrap();
    assert_eq!((config.prefix.as_str(), config.log.format), ("from-env", LogFormat::Json));
    assert_eq!((config.queues.permits_control, config.queues.permits_generate), (3, 2));
    assert_eq!(load(file, &[("REMESA_PREFIX", "")]).unwrap().prefix, "from-file");
}

#[test]
fn a_channel_is_filled_up_with_the_channel_defaults() {
    let config = load(&format!("[channel_defaults]\ntimeout = \"7s\"\n{SANDBOX}"), &[]).unwrap();
    let channel = &config.channels["sms-main"];
    assert_eq!((channel.name.as_str(), &channel.kind), ("sms-main", &ChannelKind::Sandbox));
    assert_eq!((channel.timeout, channel.in_flight), (Duration::from_secs(7), 64));
}

#[test]
fn a_variable_reaches_a_channel_whose_name_has_a_hyphen() {
    let variables = [
        ("REMESA_CHANNELS__SMS_MAIN__RATE_PER_SECOND", "30"),
        ("REMESA_CHANNELS__SMS_MAIN__DENIED_CODES", "no_credit, closed"),
        ("REMESA_CHANNELS__SMS_MAIN__SENDER", "0034600"),
        ("REMESA_CHANNELS__SMS_MAIN__IDEMPOTENT", "true"),
        ("REMESA_CHANNELS__SMS_MAIN__ON_UNKNOWN", "resend"),
    ];
    let channel = load(SANDBOX, &variables).unwrap().channels.remove("sms-main").unwrap();
    assert_eq!((channel.rate_per_second, channel.sender.as_str()), (30, "0034600"));
    assert_eq!(channel.denied_codes, ["no_credit", "closed"]);
    assert_eq!(channel.on_unknown, OnUnknown::Resend);
}

#[test]
fn nobody_knows_is_asked_again_where_the_provider_knows_keys_unless_the_file_says_otherwise() {
    let on_unknown = |keys: &str| {
        let file = format!("[channels.x]\nkind = \"sandbox\"\n{keys}");
        load(&file, &[]).unwrap().channels.remove("x").unwrap().on_unknown
    };
    assert_eq!(on_unknown(""), OnUnknown::Keep);
    assert_eq!(on_unknown("idempotent = true\n"), OnUnknown::Resend);
    assert_eq!(on_unknown("idempotent = true\non_unknown = \"keep\"\n"), OnUnknown::Keep);
    assert_eq!(on_unknown("idempotent = true\non_unknown = \"fail\"\n"), OnUnknown::Fail);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one_and_its_place() {
    let text = refusal("[redis]\nurll = \"embedded\"\n", &[]);
    assert!(text.starts_with("unknown key `redis.urll` in remesa.toml"), "{text}");
    assert!(text.ends_with(", did you mean `redis.url`?"), "{text}");
    let text = refusal(&format!("{SANDBOX}rate_per_secnd = 3\n"), &[]);
    assert!(
        text.contains("`channels.sms-main.rate_per_secnd`") && text.contains("`channels.sms-main.rate_per_second`?")
    );
    assert_eq!(
        refusal("", &[("REMESA_REDIS__ULR", "embedded")]),
        "unknown key `redis.ulr` in the environment variable REMESA_REDIS__ULR, did you mean `redis.url`?"
    );
    assert!(refusal("qwertz = 1\n", &[]).starts_with("unknown key `qwertz` in "));
}

#[test]
fn a_wrong_value_names_key_value_and_rule() {
    for (file, sentence) in [
        ("[leases]\nsweep = \"soon\"\n", "`leases.sweep` = \"soon\": must be a duration such as"),
        ("[orders]\nexpires_in = \"9m\"\n", "`orders.expires_in` = \"9m\": must be from 10m to 15d"),
        (
            "[orders]\ncurrencies = [\"EUR\", \"XQX\"]\n",
            "`orders.currencies` = \"XQX\": currency \"XQX\" is not an ISO 4217 code",
        ),
        ("[orders]\ndefault_payment_point = \"pp-2\"\n", "must be one of the payment points defined: pp-main"),
        ("[queues]\npermits_batch = 0\n", "`queues.permits_batch` = 0: must be from 1 to 1000"),
        ("[queues]\npermits_batch = \"four\"\n", "`queues.permits_batch` = string \"four\": must be an"),
        ("[queues]\npermits_batch = -4\n", "`queues.permits_batch` = "),
        ("[log]\nformat = \"xml\"\n", "`log.format` = \"xml\": must be \"text\" or \"json\""),
        ("[log]\nlevel = \"remesa=loud\"\n", "`log.level`"),
        ("[http]\nlisten = \"9464\"\n", "`http.listen` = \"9464\": must be an address and a port"),
        ("prefix = \"a{b}\"\n", "`prefix` = \"a{b}\""),
        ("instance = \"\"\n", "`instance` = \"\": must be a name"),
        ("channels = 3\n", "`channels`: invalid type: integer `3`, expected a map"),
        ("[channels]\nx = 3\n", "`channels.x` = 3: is a table of keys"),
        ("[channels.x]\nkind = \"carrier-pigeon\"\n", "must be \"http\" or \"sandbox\""),
        ("[channels.x]\n", "`channels.x.url` = \"\": must be an http or https address"),
        ("[channels.\"a b\"]\nkind = \"sandbox\"\n", "`channels.a b` = \"a b\": must be a name"),
        ("[channels.x]\nkind = \"sandbox\"\nruns = \"sequential\"\n", "is not available yet"),
        ("[payment_points.pp-2]\nlink_base = \"pay.example\"\n", "`payment_points.pp-2.link_base` = \"pay.example\""),
    ] {
        let text = refusal(file, &[]);
        assert!(text.contains(sentence), "{file}{text}");
    }
}

#[test]
fn a_contradiction_names_both_keys() {
    for (file, keys) in [
        ("[leases]\nrenew = \"5s\"\n", ["leases.renew", "leases.lease"]),
        ("[leases]\nclaim_deadline = \"7s\"\n", ["leases.claim_deadline", "leases.lease"]),
        ("[jobs]\nretry_base = \"10m\"\n", ["jobs.retry_base", "jobs.retry_cap"]),
        ("[channels.x]\nkind = \"sandbox\"\ntimeout = \"30s\"\n", ["shutdown.drain", "channels.x.timeout"]),
        (
            "[channels.x]\nkind = \"sandbox\"\nconnect_timeout = \"11s\"\n",
            ["channels.x.connect_timeout", "channels.x.timeout"],
        ),
        (
            "[channels.x]\nkind = \"sandbox\"\non_unknown = \"resend\"\n",
            ["channels.x.on_unknown", "channels.x.idempotent"],
        ),
    ] {
        let text = refusal(file, &[]);
        assert!(text.contains("contradicts") && keys.iter().all(|key| text.contains(key)), "{file}{text}");
    }
}

#[test]
fn a_credential_comes_from_a_variable_or_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sms-key"), "from-file\n").unwrap();
    let file = format!("{SANDBOX}credentials = {{ a = \"${{SMS_KEY}}\", b = \"file:sms-key\" }}\n");
    let variables = [("SMS_KEY", "from-env"), ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())];
    let config = load(&file, &variables).unwrap();
    let credentials = &config.channels["sms-main"].credentials;
    assert_eq!((credentials["a"].expose(), credentials["b"].expose()), ("from-env", "from-file"));
    assert!(!format!("{config:?}").contains("from-"));
    assert_eq!(refusal(&file, &[]), "`channels.sms-main.credentials.a`: the environment variable SMS_KEY is not set");
    assert!(!refusal("[channels.x]\ncredentials = { a = \"hush\n", &[]).contains("hush"));
}

#[test]
fn a_password_in_the_address_of_redis_is_not_shown() {
    let config = load("[redis]\nurl = \"redis://:hush@10.0.0.1:6379/1\"\n", &[]).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    assert!(!refusal("[redis]\nurl = \"rediz://:hush@10.0.0.1\"\n", &[]).contains("hush"));
}

#[test]
fn a_file_that_is_named_must_exist() {
    let error = Config::load(Some("/nowhere/remesa.toml".as_ref()), std::iter::empty()).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    let named = [(super::PATH_VARIABLE.to_owned(), "/nowhere/remesa.toml".to_owned())];
    assert!(matches!(Config::load(None, named.into_iter()), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn the_state_folder_is_what_systemd_or_the_desktop_says() {
    let given = [("STATE_DIRECTORY", "/var/lib/private/remesa:/x"), ("XDG_STATE_HOME", "/state")];
    assert_eq!(load("", &given).unwrap().state_dir.to_str(), Some("/var/lib/private/remesa"));
    assert_eq!(load("", &given[1..]).unwrap().state_dir.to_str(), Some("/state/remesa"));
    assert_eq!(load("state_dir = \"~/r\"\n", &given).unwrap().state_dir.to_str(), Some("/home/ana/r"));
    let relative = load("state_dir = \"./state\"\n", &given).unwrap().state_dir;
    assert!(relative.is_absolute() && relative.ends_with("state"), "{relative:?}");
    let as_root = Config::from_layers(None, BTreeMap::new(), true).unwrap();
    assert_eq!(as_root.state_dir.to_str(), Some("/var/lib/remesa"));
}

#[test]
fn the_receipts_of_a_channel_are_those_of_the_simulator_until_it_says_otherwise() {
    let receipts = load(SANDBOX, &[]).unwrap().receipts.remove("sms-main").unwrap();
    assert_eq!((receipts.map.reference.as_str(), receipts.map.state.as_str()), ("/reference", "/state"));
    assert_eq!(receipts.signature, SignatureSettings::Standard { tolerance: Duration::from_mins(5) });
    assert!(receipts.secrets.is_empty());
    let own = "[channels.sms-main.receipts]\nstate_pointer = \"/MessageStatus\"\nstates = { Gone = \"undelivered\" }\n\
               secrets = [\"${OLD}\", \"whsec_YWJj\"]\nsignature = \"base64\"\nsignature_header = \"X-Sign\"\n";
    let config = load(&format!("{SANDBOX}{own}"), &[("OLD", "s3cr3t")]).unwrap();
    let receipts = &config.receipts["sms-main"];
    assert_eq!((receipts.map.reference.as_str(), receipts.map.state.as_str()), ("/reference", "/MessageStatus"));
    assert!(receipts.map.states.contains_key("gone"));
    assert_eq!(receipts.secrets[0].expose(), "s3cr3t");
    assert_eq!(receipts.signature, SignatureSettings::Plain { digits: Digits::Base64, header: "x-sign".to_owned() });
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

#[test]
fn receipts_that_cannot_work_are_refused_by_name() {
    let refused = |keys: &str| refusal(&format!("{SANDBOX}[channels.sms-main.receipts]\n{keys}\n"), &[]);
    for (keys, named) in [
        ("states = { gone = \"away\" }", "channels.sms-main.receipts.states.gone"),
        ("state_pointer = \"\"", "channels.sms-main.receipts.state_pointer"),
        ("id_pointer = \"id\"", "channels.sms-main.receipts.id_pointer"),
        ("secrets = [\"whsec_%\"]", "channels.sms-main.receipts.secrets[0]"),
        ("signature = \"md5\"", "channels.sms-main.receipts.signature"),
        ("signature = \"hex\"\nsignature_header = \"a b\"", "channels.sms-main.receipts.signature_header"),
        ("tolerance = \"1s\"", "channels.sms-main.receipts.tolerance"),
        ("state_pointr = \"/x\"", "did you mean `channels.sms-main.receipts.state_pointer`"),
    ] {
        let text = refused(keys);
        assert!(text.contains(named), "{text}");
    }
}

#[test]
fn a_message_can_have_its_own_address_for_receipts_only_where_one_is_known() {
    let channel = "[channels.sms]\nurl = \"https://x.example/\"\nbody = '{\"cb\":\"{{ receipt_url }}\"}'\n";
    let text = refusal(channel, &[]);
    assert!(text.contains("http.public_url") && text.contains("receipt_url"), "{text}");
    let known = load(channel, &[("REMESA_HTTP__PUBLIC_URL", "https://sms.example/")]).unwrap();
    assert_eq!(known.public_url.as_deref(), Some("https://sms.example"));
    assert!(refusal("[http]\npublic_url = \"sms.example\"\n", &[]).contains("http.public_url"));
}

const MAIL: &str = "[channels.mail]\nkind = \"smtp\"\nfrom = \"Remesa <dues@example.com>\"\n";

#[test]
fn a_mail_server_is_known_by_its_host_and_has_the_usual_port_of_its_tls() {
    for (keys, port, security) in [
        ("host = \"mail.example\"", 587, Security::StartTls),
        ("host = \"mail.example\"\ntls = \"tls\"", 465, Security::Tls),
        ("host = \"127.0.0.1\"\ntls = \"none\"", 25, Security::None),
        ("host = \"localhost\"\ntls = \"none\"\nport = 2525", 2525, Security::None),
    ] {
        let channel = load(&format!("{MAIL}{keys}\n"), &[]).unwrap().channels.remove("mail").unwrap();
        let ChannelKind::Smtp(smtp) = &channel.kind else { panic!("{:?}", channel.kind) };
        assert_eq!((smtp.port, smtp.security), (port, security), "{keys}");
        assert_eq!((channel.address, channel.kind.as_str()), (ContactKind::Email, "smtp"));
    }
}

#[test]
fn a_mail_server_that_cannot_work_is_refused_by_name() {
    for (keys, named) in [
        ("", "channels.mail.host"),
        ("host = \"mail.example\\r\\n\"", "channels.mail.host"),
        ("host = \"mail.example\"\ntls = \"none\"", "only a server on this machine"),
        ("host = \"mail.example\"\ntls = \"maybe\"", "channels.mail.tls"),
        ("host = \"mail.example\"\nport = 70000", "channels.mail.port"),
        ("host = \"mail.example\"\nreply_to = \"answers\"", "channels.mail.reply_to"),
        ("host = \"mail.example\"\naddress = \"phone\"", "channels.mail.address"),
        ("host = \"mail.example\"\ncredentials = { username = \"u\" }", "username and password, or neither"),
    ] {
        let text = refusal(&format!("{MAIL}{keys}\n"), &[]);
        assert!(text.contains(named), "{text}");
    }
    let text = refusal("[channels.mail]\nkind = \"smtp\"\nhost = \"mail.example\"\n", &[]);
    assert!(text.contains("channels.mail.from"), "{text}");
}

#[test]
fn a_known_provider_needs_its_credentials_and_nothing_that_it_brings() {
    let twilio = "[channels.sms]\nprovider = \"twilio\"\nsender = \"MG0123456789abcdef0123456789abcdef\"\n";
    let ready = format!("{twilio}credentials = {{ account_sid = \"AC1\", auth_token = \"t\" }}\n");
    let channel = load(&ready, &[]).unwrap().channels.remove("sms").unwrap();
    assert_eq!((channel.kind.as_str(), channel.address), ("twilio", ContactKind::Mobile));
    let whatsapp = "[channels.wa]\nprovider = \"whatsapp_cloud\"\nsender = \"106540352242922\"\ncredentials = { access_token = \"t\" }\n";
    let channel = load(whatsapp, &[]).unwrap().channels.remove("wa").unwrap();
    assert_eq!((channel.kind.as_str(), channel.address), ("whatsapp_cloud", ContactKind::Whatsapp));
    for (file, named) in [
        (twilio.to_owned(), "channels.sms.credentials.account_sid"),
        (format!("{twilio}kind = \"smtp\"\nhost = \"h\"\n"), "channels.sms.provider"),
        ("[channels.sms]\nprovider = \"twillio\"\n".to_owned(), "channels.sms.provider"),
        ("[channels.sms]\nprovider = \"infobip\"\ncredentials = { api_key = \"k\" }\n".to_owned(), "channels.sms.url"),
        (whatsapp.replace("106540352242922", "Remesa"), "channels.wa.sender"),
    ] {
        let text = refusal(&file, &[]);
        assert!(text.contains(named), "{text}");
    }
}

#[test]
fn a_form_is_configuration_too() {
    let form = "[channels.sms]\nurl = \"https://x.example/send\"\nbody_format = \"form\"\nbody = \"to={{ to }}&text={{ text }}\"\nthrottled_codes = [\"busy\"]\n";
    let channel = load(form, &[]).unwrap().channels.remove("sms").unwrap();
    assert_eq!((channel.body_format, channel.throttled_codes.as_slice()), (BodyFormat::Form, &["busy".to_owned()][..]));
    assert!(refusal(&form.replace("\"form\"", "\"xml\""), &[]).contains("channels.sms.body_format"));
}

#[test]
fn a_channel_has_contact_hours_and_a_cap_of_its_own_or_those_of_all_channels() {
    let file = "[channel_defaults]\nhours = { preset = \"colombia\", otherwise = \"skip\" }\ncap = \"colombia\"\n\
                [channels.a]\nkind = \"sandbox\"\n\
                [channels.b]\nkind = \"sandbox\"\nhours = { saturday = \"closed\" }\ncontact_rules_for = [\"commercial\"]\n\
                [channels.c]\nkind = \"sandbox\"\nhours = \"none\"\ncap = \"none\"\n";
    let channels = load(file, &[]).unwrap().channels;
    let [a, b, c] = ["a", "b", "c"].map(|name| channels[name].contact.clone());
    assert!(a.rules.hours.as_ref().is_some_and(|hours| hours.otherwise().is_some()) && a.rules.cap.is_some());
    assert_ne!(a.rules.hours, b.rules.hours, "one weekday is another");
    assert_eq!((a.categories.len(), b.categories.len()), (2, 1));
    assert_eq!((c.rules.hours, c.rules.cap), (None, None));
    assert_eq!(load(SANDBOX, &[]).unwrap().channels["sms-main"].contact.rules.hours, None);
}

#[test]
fn contact_hours_and_caps_that_cannot_be_kept_are_refused_by_their_place() {
    for (keys, words) in [
        ("hours = \"spain\"", "`channels.sms-main.hours.preset`: \"spain\" is not known"),
        ("hours = \"united_states\"", "`channels.sms-main.hours.timezone`: the hours need a time zone"),
        ("hours = { timezone = \"UTC\", monday = [\"9-5\"] }", "`channels.sms-main.hours.monday[0]`"),
        ("hours = { timezone = \"UTC\", mondays = [] }", "\"mondays\" is not a field of hours"),
        ("cap = { messages = 0, per = \"1d\" }", "`channels.sms-main.cap.messages`"),
        ("contact_rules_for = []", "must name a category"),
        ("contact_rules_for = [\"debt\"]", "must be \"transactional\" or \"commercial\""),
    ] {
        let text = refusal(&format!("{SANDBOX}{keys}\n"), &[]);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_token_comes_from_where_secrets_come_from_and_cannot_be_guessed() {
    let table =
        |name: &str, token: &str, role: &str| format!("[http.tokens.{name}]\ntoken = \"{token}\"\nrole = \"{role}\"\n");
    let long = "0123456789abcdef0123456789abcdef";
    let config = load(&table("ana", "${ANA}", "operator"), &[("ANA", long)]).unwrap();
    assert_eq!(config.access.holders.by_token(long).map(|holder| holder.name.as_str()), Some("ana"));
    assert!(load("", &[]).unwrap().access.holders.is_empty());
    for (tables, says) in [
        (table("ana", &long[1..], "read"), "`http.tokens.ana.token`: must be 32 to 512"),
        (table("ana", "0123456789abcdef 0123456789abcdef", "read"), "without blanks"),
        (table("ana", "${ANA}", "read"), "the environment variable ANA is not set"),
        (table("ana", long, "admin"), "must be \"read\" or \"operator\""),
        (table("ana", long, "read") + &table("eva", long, "operator"), "is the same as that of ana"),
        (table("\"a b\"", long, "read"), "must be a name"),
        (format!("[http.tokens.ana]\ntokn = \"{long}\"\n"), "tokn"),
        ("[http]\nsession = \"1m\"\n".to_owned(), "http.session"),
        ("[http]\nhosts = [\"a:80\"]\n".to_owned(), "http.hosts"),
    ] {
        let text = refusal(&tables, &[]);
        assert!(text.contains(says) && !text.contains(long), "{text}");
    }
}
