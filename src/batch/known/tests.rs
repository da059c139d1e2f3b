use super::*;
use crate::batch::{Column, ReadError, Table};
use crate::series::{DAY, HOUR, Key, Step};

fn source(name: &str, labels: &[(&str, &str)]) -> Source {
    let key = Key::from_pairs(name, labels).unwrap();
    Source { name: key.to_string(), key, axis: Axis::Time, is_metric: true }
}

fn load(text: &str) -> Result<KnownColumns, ReadError> {
    load_beside(text, &[])
}

fn load_beside(text: &str, sources: &[Source]) -> Result<KnownColumns, ReadError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known.csv");
    std::fs::write(&path, text).unwrap();
    KnownColumns::load(&path, sources)
}

fn hours(n: usize) -> History {
    History::new(0, Step::new(HOUR).unwrap(), vec![1.0; n])
}

#[test]
fn a_number_holds_until_the_next_and_a_cell_has_their_mean() {
    let text = "timestamp,price,value\n1970-01-01,5,1\n1970-01-02,7,\n1970-01-03,9,3\n";
    let known = load(text).unwrap();
    let up = source("up", &[]);
    let (regressors, notes) = known.beside(std::iter::once(&up), &hours(48), 48).unwrap();
    assert_eq!(regressors.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["price", "value"]);
    // Nothing is known of the fourth day, and of one column on the second.
    let price = &regressors[0].values;
    assert_eq!((price.len(), price[0], price[23], price[24], price[71]), (72, 5.0, 5.0, 7.0, 9.0));
    assert!(regressors[1].values[24].is_nan() && regressors[1].values[48] == 3.0);
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].contains("`price` reaches to 1970-01-03T23:00:00Z, 24 of 48 steps"), "{notes:?}");
    assert!(notes[1].contains("`value` says nothing of 24 of its 48 steps"), "{notes:?}");
    // A day of hours: the mean of what held.
    let days = History::new(0, Step::new(DAY).unwrap(), vec![1.0; 2]);
    let hour = |nr: i64| rfc3339(nr * HOUR);
    let hourly: String = (0..48).map(|nr| format!("{},{}\n", hour(nr), nr % 24)).collect();
    let known = load(&format!("ts,load\n{hourly}")).unwrap();
    assert_eq!(known.beside(std::iter::once(&up), &days, 0).unwrap().0[0].values, [11.5, 11.5]);
}

#[test]
fn text_columns_narrow_and_what_concerns_nobody_is_told() {
    let text = "timestamp,host,series,load\n1970-01-01,a,,1\n1970-01-01,b,,2\n1970-01-01,,free,3\n";
    let known = load(text).unwrap();
    let of = |source: &Source| -> Vec<f64> {
        let found = known.beside(std::iter::once(source), &hours(1), 0).unwrap().0;
        found.iter().map(|regressor| regressor.values[0]).collect()
    };
    let both = load("timestamp,host,load,price\n1970-01-01,a,1,\n1970-01-01,,2,7\n").unwrap();
    let (a, free) = (source("cpu", &[("host", "a")]), source("free", &[]));
    let values = |source: &Source| -> Vec<f64> {
        let found = both.beside(std::iter::once(source), &hours(1), 0).unwrap().0;
        found.iter().map(|regressor| regressor.values[0]).collect()
    };
    assert_eq!((values(&a), values(&free)), (vec![1.0, 7.0], vec![2.0, 7.0]), "what is narrower wins, if it is said");
    let of_a = load("timestamp,host,load,price\n1970-01-01,a,1,\n1970-01-01,,,7\n").unwrap();
    let (found, _) = of_a.beside(std::iter::once(&free), &hours(1), 0).unwrap();
    assert_eq!(found.len(), 1, "a column that says nothing of a series is none of its: {found:?}");
    assert_eq!((of(&a), of(&free), of(&source("up", &[]))), (vec![1.0], vec![3.0], vec![]));
    assert_eq!(known.idle(&[a.clone(), free]), ["load{host=\"b\"}"]);
    let b = source("cpu", &[("host", "b")]);
    let both = known.beside([&a, &b].into_iter(), &hours(1), 0).unwrap();
    assert!(both.0.is_empty(), "what is known of one is not known of the sum: {both:?}");
}

#[test]
fn whole_numbers_that_are_labels_narrow_and_two_numbers_at_a_moment_are_refused() {
    let text = "date,store,price\n1970-01-01,1,5.5\n1970-01-01,2,7\n1970-01-02,1,6\n1970-01-02,2,7\n";
    let stores = [source("sales", &[("store", "1")]), source("sales", &[("store", "2")])];
    let known = load_beside(text, &stores).unwrap();
    let prices = |source: &Source| {
        let (found, _) = known.beside(std::iter::once(source), &hours(48), 0).unwrap();
        assert_eq!(found.len(), 1, "a label is no column: {found:?}");
        (found[0].values[0], found[0].values[47])
    };
    assert_eq!((prices(&stores[0]), prices(&stores[1])), ((5.5, 6.0), (7.0, 7.0)));
    // Of series that have no such label nobody can tell.
    let error = load_beside(text, &[source("sales", &[])]).unwrap_err().to_string();
    assert!(error.contains("known.csv: column `price` is both 5.5 and 7 at 1970-01-01T00:00:00Z"), "{error}");
    assert!(error.contains("if `store` says which series a row is of, call it as their label is called"), "{error}");
    let text = "date,up,shop\n1970-01-01,1,1\n1970-01-01,0,2\n";
    let error = load(text).unwrap_err().to_string();
    assert!(error.contains("`up` is both 1 and 0") && error.contains("if `shop` says"), "{error}");
    // Where the prices are alike, the label is all that contradicts itself.
    let error = load("date,store,price\n1970-01-01,1,5.5\n1970-01-01,2,5.5\n").unwrap_err().to_string();
    assert!(error.contains("`store` is both 1 and 2") && error.contains("if `store` says which series"), "{error}");
    assert!(error.ends_with("; if it is a number, a text column, such as `series` or a label, says it"), "{error}");
    let error = load("t,price\n1,5\n2,5\n2,\n2,6\n").unwrap_err().to_string();
    assert!(error.contains("`price` is both 5 and 6 at step 2"), "{error}");
    assert!(error.contains("a text column, such as `series`"), "{error}");
    // Rows that say the same, or other columns, or are of others, do not contradict each other.
    let text = "date,host,price,load\n1970-01-01,,5,\n1970-01-01,,5,3\n1970-01-01,,,3\n1970-01-01,a,6,\n";
    assert!(load(text).is_ok());
    // What names series is no number either.
    let known = load("date,unique_id,price\n1970-01-01,1,5\n1970-01-01,2,7\n").unwrap();
    let second = Source { name: "2".to_owned(), ..source("second", &[]) };
    let (found, _) = known.beside(std::iter::once(&second), &hours(1), 0).unwrap();
    assert_eq!(found.iter().map(|it| it.values[0]).collect::<Vec<_>>(), [7.0]);
}

#[test]
fn true_is_one_false_is_none_and_what_is_passed_over_is_told() {
    let known = load("date,is_promo\n1970-01-01,false\n1970-01-02,True\n1970-01-03,\n").unwrap();
    let days = History::new(0, Step::new(DAY).unwrap(), vec![1.0; 2]);
    let (found, _) = known.beside(std::iter::once(&source("up", &[])), &days, 1).unwrap();
    assert_eq!((found[0].name.as_str(), &found[0].values[..]), ("is_promo", &[0.0, 1.0][..]));
    assert!(known.notes().is_empty());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known.parquet");
    let table = Table::new().with("date", Column::Time(vec![Some(0)])).with("seen", Column::Time(vec![Some(HOUR)]));
    table.with("load", Column::Float(vec![1.0])).write(&path).unwrap();
    let known = KnownColumns::load(&path, &[]).unwrap();
    assert_eq!(known.notes(), [format!("{}: passed over seen", path.display())]);
}

#[test]
fn what_cannot_be_laid_beside_a_series_says_why() {
    let wrong = |text: &str| load(text).unwrap_err().to_string();
    assert!(wrong("when,load\nnoon,1\n").contains("there is no time column"));
    let text = wrong("timestamp,name\n1970-01-01,x\n");
    assert!(text.contains("no number column") && text.contains("one number column for each thing"), "{text}");
    let known = load("timestamp,load\n1980-01-01,1\n1980-01-02,2\n").unwrap();
    let error = known.beside(std::iter::once(&source("up", &[])), &hours(3), 5).unwrap_err().to_string();
    assert!(error.contains("known from 1980-01-01T00:00:00Z to 1980-01-02T00:00:00Z"), "{error}");
    assert!(error.contains("1970-01-01T02:00:00Z: they do not overlap"), "{error}");
    let steps = load("t,load\n1,1\n2,2\n").unwrap();
    let error = steps.beside(std::iter::once(&source("up", &[])), &hours(3), 5).unwrap_err();
    assert!(error.to_string().contains("known.csv: the known columns and the series are not dated alike"), "{error}");
}
