"""
The words columns call themselves, and those inside them: English, Spanish, French, German, Italian.

Data only: phrases per meaning, the best first. `strong` phrases say enough by themselves, `weak` ones must be
borne out by the values. How they are compared is in naming.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """Phrases for one meaning; commas divide them."""

    strong: str
    weak: str = ""
    never: str = ""


RECEIPT = Words(
    strong="receipt number, receipt no, receipt id, receipt, ticket number, ticket no, ticket "
    "id, ticket, transaction id, transaction number, transaction no, transaction, order "
    "id, order number, order no, order nr, invoice number, invoice no, invoice id, "
    "invoice, check id, check number, sale id, sales id, sale number, bill no, bill "
    "number, bill id, bon nummer, bonnummer, bonnr, bon nr, bon, belegnummer, belegnr, "
    "beleg nr, beleg, rechnungsnummer, rechnungsnr, rechnung, bestellnummer, "
    "auftragsnummer, vorgang, kassenbon, transaktionsnummer, recibo, numero de recibo, "
    "factura, numero de factura, no factura, num factura, numero de ticket, num ticket, n "
    "ticket, pedido, numero de pedido, id pedido, comprobante, folio, transaccion, "
    "facture, numero de facture, numero facture, numero de ticket, commande, numero de "
    "commande, numero commande, recu, numero de transaction, scontrino, numero scontrino, "
    "n scontrino, ricevuta, numero ricevuta, fattura, numero fattura, ordine, numero "
    "ordine, transazione",
    weak="order, id, number, no, nr, num, numero, nummer, name, basket, basket id, cart id",
    never="date, time, type, status, amount, total, line, item, fecha, datum, data, payment, tipo, art",
)
CUSTOMER = Words(
    strong="customer id, customer, customer number, customer no, client id, client, client "
    "number, member id, member, buyer id, shopper id, guest id, kundennummer, kundennr, "
    "kunden id, kunde, id cliente, cliente id, cliente, codigo cliente, numero de "
    "cliente, id client, numero client, code client, codice cliente, numero cliente",
    weak="id, user id, cust id, contact id",
    never="name, email, phone, reference, locale, type, seq, order, address",
)
STORE = Words(
    strong="store id, store, shop id, shop, outlet id, outlet, sales outlet id, branch id, "
    "branch, location id, location, store name, shop name, filiale, filialnummer, "
    "standort, laden, tienda, id tienda, sucursal, local, magasin, point de vente, "
    "boutique, negozio, punto vendita, sede",
    never="online, type",
)
CHANNEL = Words(
    strong="channel, sales channel, source name, order type, dining option, service type, order "
    "channel, instore yn, canal, canal de venta, kanal, vertriebskanal, verkaufskanal, "
    "canale, canal de vente, tipo de pedido",
    weak="location, source, platform, in store, takeaway",
)
EVENT = Words(
    strong="event type, event, receipt type, transaction type, type of sale, sale type, document "
    "type, belegart, vorgangsart, buchungsart, tipo de transaccion, tipo de documento, "
    "tipo documento, tipo movimiento, tipo de operacion, type de transaction, type de "
    "vente, type de ticket, tipo transazione, tipo vendita",
    weak="type, status, tipo, art, state, statut, estado, stato, vorgang, operacion, operation, operazione, typ",
    never="item, payment, financial, fulfillment, customer, product",
)
VOID = Words(
    strong="void, voided, is void, is voided, cancelled, canceled, is cancelled, storniert, "
    "storno, anulado, annule, annullato"
)

SALES: Mapping[str, Words] = {
    "time_zone": Words(strong="time zone, timezone, zona horaria, zeitzone, fuseau horaire, fuso orario, tz"),
    "store": STORE,
    "customer": CUSTOMER,
    "customer_name": Words(
        strong="customer name, client name, buyer name, guest name, member name, billing name, "
        "customer first name, kundenname, nombre cliente, nombre del cliente, nom client, nom "
        "du client, nome cliente"
    ),
    "loyalty_card": Words(strong="loyalty card, loyalty card number, loyalty number, card number loyalty, kundenkarte"),
    "employee": Words(
        strong="employee id, employee, staff id, staff, cashier id, cashier, server, waiter, seller, "
        "salesperson, clerk, mitarbeiter, kassierer, bediener, verkaufer, empleado, cajero, "
        "vendedor, camarero, vendeur, caissier, serveur, employe, dipendente, cassiere, "
        "commesso, operatore",
        never="name",
    ),
    "employee_name": Words(
        strong="employee name, staff name, cashier name, server name, mitarbeitername, nombre empleado"
    ),
    "channel": CHANNEL,
    "event": EVENT,
    "product_id": Words(
        strong="product id, item id, sku, article number, article id, product code, item code, stock "
        "code, plu, barcode, ean, artikelnummer, artikelnr, artikel nr, codigo producto, "
        "codigo de producto, codigo articulo, id producto, code produit, code article, "
        "reference produit, codice prodotto, codice articolo",
        weak="product number, item number",
        never="line",
    ),
    "product_name": Words(
        strong="product name, item name, product, item, article, lineitem name, menu item, pizza "
        "name, description, product detail, product description, item description, articulo, "
        "producto, nombre producto, nombre del producto, descripcion, artikel, artikelname, "
        "artikelbezeichnung, produkt, produktname, bezeichnung, warengruppe artikel, produit, "
        "nom produit, nom du produit, designation, libelle, prodotto, nome prodotto, "
        "articolo, descrizione",
        weak="name, dish, nombre, nom, nome, details",
        never="id, count, number, type, category, group, price, size, amount, quantity, total, "
        "weight, customer, price point, note, option, modifier, store, first, last, company, "
        "line, tax, billing, shipping, file",
    ),
    "category": Words(
        strong="category, product category, item category, category name, product type, department, "
        "menu group, product line, kategorie, warengruppe, artikelgruppe, produktgruppe, "
        "categoria, familia, rubro, categorie, famille, rayon, reparto",
        weak="type, group, class, family, tipo, gruppe, gruppo, section, pizza category",
        never="event, payment, itemization, transaction, customer, order, tender, card",
    ),
    "variation": Words(
        strong="price point name, variation, variant, variant title, variation name, item variation, "
        "size, product size, pizza size, grosse, tamano, talla, variante, taille, format, "
        "taglia, formato, misura, portion",
        never="file, id, pack, party",
    ),
    "modifiers": Words(
        strong="modifiers applied, modifiers, modifier, extras, options, toppings, modificadores, "
        "zusatze, supplements, aggiunte"
    ),
    "quantity": Words(
        strong="quantity, qty, quantity sold, units sold, lineitem quantity, item quantity, order "
        "quantity, number of items, bought, purchased, units, pcs, pieces, menge, anzahl, "
        "stuck, stuckzahl, stk, anz, cantidad, unidades, uds, ud, unid, cant, quantite, qte, "
        "nombre d articles, nb, quantita, qta, pezzi, pz",
        weak="count, sold, items, number sold, volume",
        never="price, amount, reorder, min, distinct, seq, discount, refund, fulfillment, type, total",
    ),
    "currency_code": Words(
        strong="currency, currency code, presentment currency, wahrung, moneda, divisa, devise, monnaie, valuta",
        never="rate",
    ),
    "payment_method": Words(
        strong="payment method, payment type, tender type, tender, payment, paid by, payment mode, "
        "zahlungsart, zahlart, zahlungsmethode, zahlungsmittel, metodo de pago, forma de "
        "pago, medio de pago, mode de paiement, moyen de paiement, reglement, metodo di "
        "pagamento, modalita di pagamento, pagamento, cash type",
        never="id, date, reference, status, amount",
    ),
    "payment_reference": Words(
        strong="payment id, payment reference, payment number, zahlungsreferenz, id pago, referencia "
        "de pago, id paiement"
    ),
    "card_brand": Words(strong="card brand, card type, kartentyp, marca tarjeta, tipo de tarjeta"),
    "card_last_digits": Words(strong="pan suffix, card last 4, last 4, last four, card last digits"),
    "reverses": Words(strong="refund for, original receipt, original transaction id, reverses, original order id"),
    "note": Words(
        strong="notes, note, comment, comments, remark, remarks, bemerkung, notiz, nota, notas, "
        "observaciones, remarque, commentaire, commento, osservazioni",
        never="fulfillment, attribute, credit",
    ),
}

DATE = Words(
    strong="date, sold at, sale date, sales date, sold on, transaction date, order date, receipt "
    "date, invoice date, purchase date, datetime, date time, timestamp, date and time, "
    "business date, created at, created timestamp, paid at, order datetime, transaction "
    "datetime, ordered at, processed at, fecha, fecha venta, fecha de venta, fecha y "
    "hora, fecha pedido, fecha factura, datum, verkaufsdatum, belegdatum, bondatum, "
    "rechnungsdatum, datum uhrzeit, bestelldatum, date de vente, date heure, date vente, "
    "date facture, date commande, jour, data, data vendita, data ora, giorno, data "
    "scontrino",
    weak="day, tag, dia, created, processed, time, zeit, zeitpunkt, moment",
    never="birth, expiry, expire, due, cancelled, canceled, closed, updated, modified, ship, "
    "shipped, delivery, delivered, synced, start, end, since, deposit, refund, void, "
    "join, geburt, id",
)
TIME = Words(
    strong="time, sale time, transaction time, order time, receipt time, sold time, hour, "
    "uhrzeit, zeit, verkaufszeit, hora, hora de venta, heure, heure de vente, ora, orario",
    never="zone, date, delivery, cancelled, updated",
)
UPDATED = Words(
    strong="updated at, updated timestamp, updated, last modified, modified at, last updated, "
    "geandert am, actualizado, modifie le, aggiornato"
)

UNIT_PRICE = Words(
    strong="unit price, price per unit, price each, lineitem price, item price, unit cost price, "
    "single price, einzelpreis, stuckpreis, preis pro stuck, ep, precio unitario, precio "
    "unidad, precio por unidad, p unit, prix unitaire, prix a l unite, pu, prezzo "
    "unitario",
    weak="price, preis, precio, prix, prezzo, rate, pizza price, product price, verkaufspreis, selling price",
    never="total, discount, compare, point, list, cost, subtotal, shipping, set, net, gross, tax, line, spent",
)
NET = Words(
    strong="net sales, net amount, net total, net price, net revenue, net, subtotal, subtotal "
    "price, sub total, total spent, line total, line item amount, line amount, item "
    "total, total sales, sales amount, sale amount, total amount, amount paid, total "
    "price, total, amount, revenue, sales, spent, turnover, paid, total value, sum, "
    "nettobetrag, netto, nettoumsatz, gesamtbetrag, gesamtpreis, gesamt, betrag, umsatz, "
    "summe, zeilensumme, endpreis, importe neto, neto, importe, importe total, total "
    "venta, venta, ventas, monto, total linea, montant net, montant ht, total ht, "
    "montant, montant total, total ligne, total ttc, montant ttc, chiffre d affaires, "
    "importo netto, importo, totale, totale riga, incasso, imponibile, brutto, "
    "bruttobetrag",
    weak="price, preis, precio, prix, prezzo, value, cost, ca",
    never="tax, mwst, iva, tva, discount, rabatt, descuento, remise, sconto, shipping, tip, "
    "refund, refunded, adjusted, adjustment, fee, count, quantity, unit, each, weight, "
    "points, per, set, balance, qty, einzel, unitario, unitaire, items",
)
GROSS = Words(
    strong="gross sales, gross amount, gross price, gross, total line items price, list amount, "
    "importe bruto, bruto, montant brut, brut, importo lordo, lordo, bruttobetrag, "
    "bruttoumsatz, brutto",
    weak="subtotal, amount, total price",
    never="set, net",
)
DISCOUNT = Words(
    strong="discounts, discount, discount amount, total discounts, total discount, discount "
    "value, rebate, discnt, rabatt, rabattbetrag, nachlass, descuento, descuentos, "
    "importe descuento, remise, remises, rabais, reduction, sconto, sconti",
    weak="promotion, promo amount, comp",
    never="code, name, percent, percentage, pct, rate, set, shipping, count, yn, type",
)
TAX = Words(
    strong="tax, tax amount, total tax, taxes, sales tax, vat, vat amount, mwst, mehrwertsteuer, "
    "ust, umsatzsteuer, steuer, steuerbetrag, iva, impuesto, impuestos, tva, taxe, "
    "montant tva, imposta",
    never="rate, percent, exempt, included, inclusion, set, refund, shipping, adjustment, id, code, name, option",
)
TIP = Words(
    strong="tip, tips, gratuity, total tip received, tip amount, trinkgeld, propina, pourboire, mancia",
    never="refund",
)
AMOUNTS: Mapping[str, Words] = {
    "net_amount": NET,
    "gross_amount": GROSS,
    "discount_amount": DISCOUNT,
    "tax_amount": TAX,
    "tip_amount": TIP,
    "unit_price": UNIT_PRICE,
}


def _listed(phrases: str) -> list[str]:
    return phrases.split(", ")


# Values that tell an event. Words for an order's state (refunded) are no event of the row.
EVENT_WORDS: Mapping[str, str] = {
    **dict.fromkeys(
        _listed(
            "payment, sale, sales, order, purchase, sold, invoice, venta, compra, cobro, pago, "
            "factura, verkauf, bon, rechnung, kauf, zahlung, vente, achat, paiement, facture, "
            "vendita, acquisto, pagamento, fattura"
        ),
        "sale",
    ),
    **dict.fromkeys(
        _listed(
            "refund, return, returned, credit, credit note, credit memo, retoure, ruckgabe, "
            "ruckerstattung, erstattung, gutschrift, rucknahme, devolucion, reembolso, abono, "
            "remboursement, retour, avoir, reso, rimborso, nota di credito, restituzione"
        ),
        "refund",
    ),
    **dict.fromkeys(
        _listed(
            "void, voided, cancelled, canceled, cancellation, cancel, storno, storniert, "
            "stornierung, anulacion, anulado, anulada, cancelado, annulation, annule, annulee, "
            "annullamento, annullato"
        ),
        "void",
    ),
}
STATE_WORDS = frozenset(
    _listed("refunded, partially refunded, partial refund, reembolsado, rembourse, erstattet, rimborsato")
)
TRUE_WORDS = frozenset(_listed("true, yes, y, 1, ja, j, si, s, oui, o, x, wahr, verdadero, vrai, vero"))
FALSE_WORDS = frozenset(_listed("false, no, n, 0, nein, non, falsch, falso, faux"))
CHANNEL_WORDS: Mapping[str, str] = {
    **dict.fromkeys(
        [
            "in store",
            "instore",
            "store",
            "shop",
            "dine in",
            "eat in",
            "for here",
            "walk in",
            "pos",
            "counter",
            "en tienda",
            "tienda",
            "local",
            "sala",
            "sur place",
            "boutique",
            "magasin",
            "im laden",
            "laden",
            "vor ort",
            "hier essen",
            "in negozio",
            "negozio",
            "al tavolo",
        ],
        "store",
    ),
    **dict.fromkeys(
        _listed(
            "takeaway, take away, take out, takeout, to go, togo, pickup, pick up, para llevar, "
            "recogida, a emporter, emporter, mitnehmen, zum mitnehmen, ausser haus, abholung, "
            "asporto, da asporto"
        ),
        "takeaway",
    ),
    **dict.fromkeys(
        [
            "delivery",
            "home delivery",
            "domicilio",
            "a domicilio",
            "entrega",
            "reparto",
            "livraison",
            "lieferung",
            "consegna",
        ],
        "delivery",
    ),
    **dict.fromkeys(
        _listed("online, web, website, internet, app, mobile, android, iphone, ios, en linea, en ligne"),
        "online",
    ),
}
WALK_INS = frozenset(
    _listed("0, -1, 00000, guest, walk in, walkin, anonymous, gast, laufkunde, invitado, passage, ospite")
)
ZONE_NAMES: Mapping[str, str] = {
    "Eastern Time (US & Canada)": "America/New_York",
    "Central Time (US & Canada)": "America/Chicago",
    "Mountain Time (US & Canada)": "America/Denver",
    "Pacific Time (US & Canada)": "America/Los_Angeles",
    "Arizona": "America/Phoenix",
    "Alaska": "America/Anchorage",
    "Hawaii": "Pacific/Honolulu",
    "Atlantic Time (Canada)": "America/Halifax",
    "Mexico City": "America/Mexico_City",
    "Bogota": "America/Bogota",
    "Buenos Aires": "America/Argentina/Buenos_Aires",
    "London": "Europe/London",
    "Dublin": "Europe/Dublin",
    "Lisbon": "Europe/Lisbon",
    "Madrid": "Europe/Madrid",
    "Paris": "Europe/Paris",
    "Berlin": "Europe/Berlin",
    "Rome": "Europe/Rome",
    "Amsterdam": "Europe/Amsterdam",
    "Brussels": "Europe/Brussels",
    "Vienna": "Europe/Vienna",
    "Athens": "Europe/Athens",
    "Sydney": "Australia/Sydney",
    "Tokyo": "Asia/Tokyo",
    "EST": "America/New_York",
    "CST": "America/Chicago",
    "MST": "America/Denver",
    "PST": "America/Los_Angeles",
    "GMT": "Europe/London",
    "CET": "Europe/Madrid",
    "CEST": "Europe/Madrid",
}

CRM: Mapping[str, Words] = {
    "customer": Words(
        strong=CUSTOMER.strong + ", contact id, person id, record id",
        weak="id, number, no, nr, codigo, code",
        never=CUSTOMER.never + ", since, loyalty, card",
    ),
    "first_name": Words(strong="first name, firstname, given name, vorname, nombre, prenom, nome"),
    "last_name": Words(
        strong="last name, lastname, surname, family name, nachname, familienname, apellido, apellidos, nom, cognome"
    ),
    "full_name": Words(
        strong="full name, customer name, client name, customer first name, name, kundenname",
        never="first, last, company",
    ),
    "email": Words(strong="email, e mail, email address, mail, correo, correo electronico, courriel, customer email"),
    "phone": Words(
        strong="phone, phone number, telephone, mobile, telefon, telefono, movil, telephone, handy, cellulare"
    ),
    "postal_code": Words(
        strong="postal code, postcode, zip, zip code, plz, postleitzahl, codigo postal, code postal, cap"
    ),
    "loyalty_card": Words(
        strong="loyalty card number, loyalty card, loyalty number, kundenkarte, tarjeta, carte fidelite"
    ),
    "customer_since": Words(
        strong="customer since, member since, created at, created, create date, signup date, join "
        "date, fecha de alta, kunde seit"
    ),
    "is_deleted": Words(strong="is deleted, deleted, archived, geloscht, eliminado, supprime"),
    "updated_at": UPDATED,
}
INVENTORY: Mapping[str, Words] = {
    "product_key": Words(
        strong=SALES["product_id"].strong + ", product, item, article, ingredient, zutat, ingrediente",
        weak="id, code, name, handle",
    ),
    "product_name": Words(
        strong=SALES["product_name"].strong + ", title, ingredient", weak="name", never="supplier, store"
    ),
    "category": SALES["category"],
    "unit": Words(strong="unit, unit of measure, uom, einheit, unidad, unite, unita, unidad de medida"),
    "list_price": Words(
        strong="list price, retail price, current retail price, sales price, selling price, price, preis, precio, prix"
    ),
    "unit_cost": Words(
        strong="unit cost, cost, purchase price, cost price, purchase rate, wholesale price, "
        "einkaufspreis, ek, coste, coste unitario, costo, prix d achat, costo unitario"
    ),
    "reorder_level": Words(
        strong="reorder level, reorder point, min stock, minimum stock, safety stock, par level, "
        "mindestbestand, meldebestand, stock minimo, punto de pedido, stock minimum, seuil, "
        "scorta minima"
    ),
    "on_hand_quantity": Words(
        strong="on hand, quantity on hand, stock on hand, on hand current, in stock, stock, "
        "available, quantity available, bestand, lagerbestand, existencias, stock actual, en "
        "stock, giacenza, current stock, inventory",
        never="min, reorder, safety, store",
    ),
    "store": Words(strong=STORE.strong + ", warehouse, warehouse id, lager, almacen, entrepot, magazzino"),
    "supplier": Words(
        strong="supplier id, supplier, vendor, vendor id, lieferant, proveedor, fournisseur, fornitore",
        never="name",
    ),
    "supplier_name": Words(strong="supplier name, vendor name, lieferantenname, nombre proveedor, nom fournisseur"),
    "delivery": Words(
        strong="delivery id, delivery number, delivery note, delivery, purchase order, po number, "
        "lieferschein, lieferscheinnummer, albaran, bon de livraison, bolla, ddt",
        never="date, time, status",
    ),
    "movement": Words(strong="movement id, movement, adjustment id, stock movement id", never="type, date"),
    "kind": Words(
        strong="movement type, movement kind, reason, adjustment type, bewegungsart, tipo de movimiento, motif, causale"
    ),
    "quantity": Words(
        strong=SALES["quantity"].strong + ", change, delta", weak="units, count", never="price, reorder, min"
    ),
    "moved_at": Words(
        strong="counted at, moved at, delivered at, delivery date, movement date, received at, date, "
        "datetime, as of, snapshot date, stichtag, datum, lieferdatum, fecha, fecha entrega, "
        "date livraison, data, calculated at",
        never="expiry, expire, updated",
    ),
    "expires_on": Words(
        strong="expires on, expiry date, expiration date, best before, mhd, caducidad, peremption, scadenza"
    ),
    "updated_at": UPDATED,
}
