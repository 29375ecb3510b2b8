//! The schema of the queue `import`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::{Category, Cell, Instant, NameText, RowsFrom};

/// Import the cases of a campaign, and templates of messages. Cases need `campaign` and one of `rows` and `rows_from`;
/// templates may come alone.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Import {
    /// The campaign; made where there is none, left in its state where there is.
    campaign: Option<NameText>,
    /// Its name for people, where it is made.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// ISO 3166 alpha-2: the country whose phone numbers need no prefix; the campaign's where absent.
    #[schemars(regex(pattern = "^ *[A-Za-z]{2} *$"))]
    country: Option<String>,
    /// What kind of messages the campaign sends; the campaign's where absent.
    category: Option<Category>,
    /// The cases themselves, at most 1,000. Not with `rows_from`.
    #[schemars(length(min = 1, max = 1000))]
    rows: Option<Vec<CaseColumns>>,
    /// A file, a Redis list or an address with the cases.
    rows_from: Option<RowsFrom>,
    /// Templates, kept for all campaigns; one of the same name is replaced.
    #[schemars(length(max = 100))]
    templates: Option<Vec<MessageTemplate>>,
}

/// One case. The known columns match in any case and by their aliases; every other column is a variable.
#[derive(JsonSchema)]
struct CaseColumns {
    /// Identifies the case in its campaign. Required; a row without it is refused, the others go on.
    id: Option<Cell>,
    /// Where it stands: `new` (default), `open`, `transferred`, `escalated`, `closed`.
    state: Option<Cell>,
    /// Where it came from.
    origin: Option<Cell>,
    /// Whom it is about; the known fields may also stand beside it.
    client: Option<ClientFields>,
    /// Where messages go; or as columns: `mobile`, `mobile_2`, `phone`, `email`, `whatsapp` ...
    contacts: Option<Vec<ContactFields>>,
    /// Variables of messages; every column that is not known is one, too.
    vars: Option<BTreeMap<String, Value>>,
    /// The number of its payment order in the same campaign.
    order: Option<Cell>,
    /// Or the row key of that order.
    order_key: Option<Cell>,
    /// Variables.
    #[schemars(flatten)]
    others: BTreeMap<String, Value>,
}

/// Whom a case is about; any other field is kept, too.
#[derive(JsonSchema)]
struct ClientFields {
    /// What kind of document.
    document_type: Option<Cell>,
    /// The number on it.
    document_number: Option<Cell>,
    /// First name.
    first_name: Option<Cell>,
    /// Middle name.
    middle_name: Option<Cell>,
    /// Last name.
    last_name: Option<Cell>,
    /// Date of birth: `1990-02-28`.
    birth_date: Option<String>,
    /// Gender.
    gender: Option<Cell>,
    /// Labels: a list, or a text with `;` or `|` between them.
    labels: Option<Value>,
    /// Any other field.
    #[schemars(flatten)]
    others: BTreeMap<String, Value>,
}

/// One address.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ContactFields {
    /// What it is.
    kind: ContactKind,
    /// The phone number or e-mail address.
    value: Cell,
    /// When it was made or confirmed.
    updated_at: Option<Instant>,
}

/// What an address is.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum ContactKind {
    /// A mobile phone.
    Mobile,
    /// A landline.
    Phone,
    /// An e-mail address.
    Email,
    /// A number known to take `WhatsApp` messages.
    Whatsapp,
}

/// A template of messages.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Template")]
struct MessageTemplate {
    /// By which messages name it.
    name: NameText,
    /// The text of an SMS or chat message, and the plain part of an e-mail.
    #[schemars(length(max = 5000))]
    text: Option<String>,
    /// The subject of an e-mail.
    subject: Option<String>,
    /// The HTML part of an e-mail; values are escaped in it.
    html: Option<String>,
    /// A template that the provider keeps.
    provider_template: Option<ProviderTemplate>,
}

/// A template that the provider keeps and fills in.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ProviderTemplate {
    /// Its name at the provider.
    name: String,
    /// Its language, as the provider writes it.
    language: String,
    /// What stands in its places, in order.
    parameters: Option<Vec<String>>,
}
