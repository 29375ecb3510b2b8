//! Calendars of public holidays, computed for any year.
//!
//! Colombia: Ley 51 de 1983 ("Ley Emiliani") puts most of them on the Monday that follows their day; those of Easter
//! move with it.

use chrono::{Datelike as _, Days, NaiveDate, Weekday};

use crate::domain::word::words;

words! {
    /// Whose holidays.
    pub enum Calendar {
        /// Those of Colombia.
        Colombia = "colombia",
    }
}

/// Holidays that stay on their day.
const FIXED: [(u32, u32, &str); 6] = [
    (1, 1, "Año Nuevo"),
    (5, 1, "Día del Trabajo"),
    (7, 20, "Día de la Independencia"),
    (8, 7, "Batalla de Boyacá"),
    (12, 8, "Inmaculada Concepción"),
    (12, 25, "Navidad"),
];

/// Holidays that go to the next Monday, unless their day is one.
const MOVED: [(u32, u32, &str); 7] = [
    (1, 6, "Reyes Magos"),
    (3, 19, "San José"),
    (6, 29, "San Pedro y San Pablo"),
    (8, 15, "Asunción de la Virgen"),
    (10, 12, "Día de la Raza"),
    (11, 1, "Todos los Santos"),
    (11, 11, "Independencia de Cartagena"),
];

/// Holidays so many days from Easter Sunday, those that go to a Monday already there.
const OF_EASTER: [(i64, &str); 5] = [
    (-3, "Jueves Santo"),
    (-2, "Viernes Santo"),
    (43, "Ascensión del Señor"),
    (64, "Corpus Christi"),
    (71, "Sagrado Corazón de Jesús"),
];

impl Calendar {
    /// The holiday on a date.
    pub fn name_of(self, date: NaiveDate) -> Option<&'static str> {
        let Self::Colombia = self;
        let fixed = FIXED.iter().find(|(month, day, _)| (date.month(), date.day()) == (*month, *day));
        let moved = || {
            MOVED.iter().find(|(month, day, _)| {
                NaiveDate::from_ymd_opt(date.year(), *month, *day).is_some_and(|named| monday_from(named) == date)
            })
        };
        let of_easter = || {
            let days = date.signed_duration_since(easter(date.year())?).num_days();
            OF_EASTER.iter().find(|(from_easter, _)| *from_easter == days).map(|(_, name)| *name)
        };
        fixed.or_else(moved).map(|(_, _, name)| *name).or_else(of_easter)
    }
}

/// The date if it is a Monday, else the next one.
fn monday_from(date: NaiveDate) -> NaiveDate {
    let days = (7 - date.weekday().days_since(Weekday::Mon)) % 7;
    date.checked_add_days(Days::new(days.into())).unwrap_or(date)
}

/// Easter Sunday of the Gregorian calendar (Meeus, Jones, Butcher).
fn easter(year: i32) -> Option<NaiveDate> {
    let (golden, century, of_century) = (year % 19, year / 100, year % 100);
    let moon = (19 * golden + century - century / 4 - (8 * century + 13) / 25 + 15) % 30;
    let to_sunday = (32 + 2 * (century % 4) + 2 * (of_century / 4) - moon - of_century % 4) % 7;
    let late = (golden + 11 * moon + 22 * to_sunday) / 451;
    let days = moon + to_sunday - 7 * late + 114;
    NaiveDate::from_ymd_opt(year, u32::try_from(days / 31).ok()?, u32::try_from(days % 31 + 1).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(year: i32) -> Vec<String> {
        let first = NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
        let days = first.iter_days().take_while(|date| date.year() == year);
        days.filter(|date| Calendar::Colombia.name_of(*date).is_some())
            .map(|date| date.format("%m-%d").to_string())
            .collect()
    }

    #[test]
    fn easter_falls_where_the_church_says() {
        for (year, month, day) in
            [(1961, 4, 2), (2000, 4, 23), (2024, 3, 31), (2025, 4, 20), (2026, 4, 5), (2038, 4, 25)]
        {
            assert_eq!(easter(year), NaiveDate::from_ymd_opt(year, month, day), "{year}");
        }
    }

    #[test]
    fn the_holidays_of_colombia_are_those_of_the_official_calendar() {
        assert_eq!(
            of(2026),
            [
                "01-01", "01-12", "03-23", "04-02", "04-03", "05-01", "05-18", "06-08", "06-15", "06-29", "07-20",
                "08-07", "08-17", "10-12", "11-02", "11-16", "12-08", "12-25"
            ]
        );
        // Two of 2025 fall on one day: San Pedro y San Pablo and Sagrado Corazón, June 30.
        assert_eq!(
            of(2025),
            [
                "01-01", "01-06", "03-24", "04-17", "04-18", "05-01", "06-02", "06-23", "06-30", "07-20", "08-07",
                "08-18", "10-13", "11-03", "11-17", "12-08", "12-25"
            ]
        );
        assert_eq!(
            of(2024),
            [
                "01-01", "01-08", "03-25", "03-28", "03-29", "05-01", "05-13", "06-03", "06-10", "07-01", "07-20",
                "08-07", "08-19", "10-14", "11-04", "11-11", "12-08", "12-25"
            ]
        );
    }

    #[test]
    fn a_holiday_has_its_name() {
        let name = |text: &str| Calendar::Colombia.name_of(text.parse().unwrap());
        assert_eq!(name("2026-03-23"), Some("San José"));
        assert_eq!(name("2026-06-15"), Some("Sagrado Corazón de Jesús"));
        assert_eq!(name("2026-03-19"), None);
    }
}
