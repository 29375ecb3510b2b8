//! Words of the contract as arguments: the known ones stand in the help, another one is refused with them.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::domain::{campaign::CampaignState, case::CaseState, delivery::DeliveryState, order::OrderState};

/// A parser of the words that `parse` reads.
macro_rules! words {
    ($name:ident, $type:ty, $doc:literal) => {
        #[doc = $doc]
        pub(super) fn $name() -> impl TypedValueParser<Value = $type> {
            let words = <$type>::ALL.iter().map(|value| value.as_str());
            PossibleValuesParser::new(words).try_map(|word| <$type>::parse(&word).ok_or("no such word"))
        }
    };
}

words!(campaign_state, CampaignState, "States of a campaign.");
words!(order_state, OrderState, "States of an order.");
words!(case_state, CaseState, "States of a case.");
words!(delivery_state, DeliveryState, "States of a delivery.");
