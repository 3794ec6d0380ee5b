-- What a gift card was sold for is money taken and no revenue: it stands beside the amounts of its line and receipt, and
-- in what was paid. A product list's own update time keeps an older version from replacing a newer one.
select core_history.add_column(
    'sale_lines', 'gift_card_amount', 'numeric(14, 2)',
    'What a gift card sold by this line was sold for; no revenue; null where the line sells none.'
);
select core_history.add_column(
    'sales', 'gift_card_amount', 'numeric(14, 2)',
    'What gift cards sold on the receipt were sold for; no revenue; null where it sells none.'
);
select core_history.add_column(
    'products', 'source_updated_at', 'timestamptz',
    'When the product list last changed the product, as it says; null where it says nothing.'
);
