"""The pages people read: what they show is worked out here, the templates only write it down."""
