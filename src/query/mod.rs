//! What did they ask?
