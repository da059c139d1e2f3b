use super::*;
use crate::forecast::{FitError, Past};
use crate::series::{Season, Step};

#[test]
fn one_entry_chooses_and_what_multiplies_says_so() {
    let choosers: Vec<&str> =
        FORECASTERS.iter().filter(|entry| entry.role == Role::Chooser).map(|entry| entry.name).collect();
    assert_eq!(choosers, [AUTO]);
    let past = [3.0, -1.0, 2.0, 4.0, 5.0, 3.0, 2.0, 1.0, 2.0, 4.0, 6.0, 5.0];
    for entry in FORECASTERS {
        let settings = Settings { seasons: Season::new(4).into_iter().collect(), horizon: None };
        let refused = (entry.build)(&settings).fit(&Past::new(0, Step::seconds(1), &past)).err();
        let is_refused = matches!(refused, Some(FitError::NotPositive { .. }));
        let is_picky = matches!(entry.values, ValueNeed::ClearOfZero | ValueNeed::Intermittent);
        assert_eq!(is_refused, is_picky, "{}", entry.name);
    }
}

#[test]
fn names_are_unique_and_an_unknown_one_lists_them() {
    for entry in FORECASTERS {
        assert_eq!(FORECASTERS.iter().filter(|other| other.name == entry.name).count(), 1, "{}", entry.name);
        assert!(find(entry.name).is_ok());
    }
    let message = find("prophet").unwrap_err().to_string();
    assert!(FORECASTERS.iter().all(|entry| message.contains(entry.name)), "{message}");
}
