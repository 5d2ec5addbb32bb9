"""What the product decides: rules about records, associations, filters, workflows and the change log."""
