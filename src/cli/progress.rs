//! A progress bar on standard error, when a person watches it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `n_series`; invisible when standard error is not a terminal.
pub(super) fn bar(n_series: usize, doing: &'static str) -> ProgressBar {
    // Series of a file take milliseconds each; a bar for a handful of them would only flicker.
    bar_of(if n_series < 3 { 0 } else { n_series }, doing, "series")
}

/// A bar over `n_items` of what `unit` names; for none, one that is never shown.
pub(super) fn bar_of(n_items: usize, doing: &'static str, unit: &str) -> ProgressBar {
    let bar = if n_items == 0 {
        ProgressBar::hidden()
    } else {
        ProgressBar::with_draw_target(Some(n_items as u64), ProgressDrawTarget::stderr_with_hz(10))
    };
    let style = ProgressStyle::with_template(&format!("{{msg}} {{bar:40}} {{pos}}/{{len}} {unit}, {{eta}} left"));
    bar.set_style(style.expect("the template is fixed and tested below"));
    bar.set_message(doing);
    bar
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_valid() {
        super::bar(10, "testing").finish_and_clear();
    }
}
