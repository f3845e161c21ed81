//! SEND_MESSAGE in all its forms.
