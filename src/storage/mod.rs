//! Is it safe, is it small, can I find it?
