//! What did they send?
