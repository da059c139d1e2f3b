//! When does it cross the limit, and what should be done?
